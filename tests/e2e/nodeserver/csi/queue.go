package csi

import (
	"context"
	"encoding/json"
	"log"
	"sync"

	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
)

// queue brings objects into the state that is wanted: those that change, and those that failed again later.
type queue struct {
	what  string
	names workqueue.TypedRateLimitingInterface[string]
	sync  func(ctx context.Context, name string) error
}

func newQueue(what string, sync func(context.Context, string) error) *queue {
	return &queue{what: what, sync: sync, names: workqueue.NewTypedRateLimitingQueue(retries())}
}

func (q *queue) watch(informer cache.SharedIndexInformer) {
	add := func(object any) {
		if name, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			q.names.Add(name)
		}
	}
	_, _ = informer.AddEventHandler(cache.ResourceEventHandlerFuncs{ // fails only when the informer was stopped
		AddFunc: add, UpdateFunc: func(_, object any) { add(object) }, DeleteFunc: add})
}

func (q *queue) run(ctx context.Context) {
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for {
				name, over := q.names.Get()
				if over {
					return
				}
				q.one(ctx, name)
			}
		})
	}
	<-ctx.Done()
	q.names.ShutDown()
	group.Wait()
}

func (q *queue) one(ctx context.Context, name string) {
	defer q.names.Done(name)
	if err := q.sync(ctx, name); err != nil {
		log.Printf("csi: %s %s: %v", q.what, name, err)
		q.names.AddRateLimited(name)
		return
	}
	q.names.Forget(name)
}

func mustJSON(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err) // only maps, strings and numbers are written here
	}
	return data
}
