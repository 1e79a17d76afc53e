package csi

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"time"
)

// How often the driver looks whether a volume that is to be deleted is still in use.
const inUsePoll = 500 * time.Millisecond

// delete removes a volume (K4); one that is not there is removed.
func (l *linstor) delete(ctx context.Context, id string) error {
	err := l.do(ctx, http.MethodGet, definitionPath(id, "volume-definitions"), nil, nil)
	if err != nil {
		return unless(isNotFound(err), err)
	}
	balance := changeProperties{Override: properties{"BalanceResourcesEnabled": "False"}}
	if err := l.do(ctx, http.MethodPut, definitionPath(id), balance, nil); err != nil {
		return err
	}
	replicas, err := l.unused(ctx, id)
	if err != nil {
		return err
	}
	// The last replica with a disk does not go while there is one without.
	sort.SliceStable(replicas, func(i, j int) bool { return replicas[i].diskless() && !replicas[j].diskless() })
	for _, replica := range replicas {
		path := definitionPath(id, "resources", replica.Node) + "?keep_tiebreaker=false"
		if err := l.do(ctx, http.MethodDelete, path, nil, nil); unless(isNotFound(err), err) != nil {
			return err
		}
	}
	err = l.do(ctx, http.MethodDelete, definitionPath(id, "volume-definitions", "0"), nil, nil)
	if unless(isNotFound(err), err) != nil {
		return err
	}
	done := changeProperties{Delete: []string{completedBy}}
	if err := l.do(ctx, http.MethodPut, definitionPath(id), done, nil); err != nil {
		return err
	}
	return l.deleteUnused(ctx, id)
}

// unused waits until nobody uses the volume and returns its replicas.
func (l *linstor) unused(ctx context.Context, id string) ([]replica, error) {
	for {
		replicas, err := l.replicas(ctx, id)
		if err != nil || !slices.ContainsFunc(replicas, func(r replica) bool { return r.State.InUse }) {
			return replicas, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s is still in use", id)
		case <-time.After(inUsePoll):
		}
	}
}

// deleteUnused removes the definition, which snapshots would need, and the group of the last volume.
func (l *linstor) deleteUnused(ctx context.Context, id string) error {
	replicas, err := l.replicas(ctx, id)
	if err != nil {
		return err
	}
	snapshots, err := l.hasSnapshots(ctx, id)
	if err != nil || snapshots || len(replicas) > 0 {
		return err
	}
	have, err := l.definition(ctx, id)
	if err != nil {
		return unless(isNotFound(err), err)
	}
	if err := l.do(ctx, http.MethodDelete, definitionPath(id), nil, nil); unless(isNotFound(err), err) != nil {
		return err
	}
	err = l.do(ctx, http.MethodDelete, groupPath(have.Group), nil, nil)
	return unless(isNotFound(err) || hasCode(err, codeHasDfns), err)
}

// publish makes a volume available on a node and returns its device there (K5).
func (l *linstor) publish(ctx context.Context, id, where string) (string, error) {
	if _, err := l.definition(ctx, id); err != nil {
		return "", err
	}
	if err := l.do(ctx, http.MethodGet, definitionPath(id, "volume-definitions"), nil, nil); err != nil {
		return "", err
	}
	known, err := l.nodes(ctx)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(known, func(n node) bool { return n.Name == where && n.Connection == "ONLINE" }) {
		return "", fmt.Errorf("node %s is not ONLINE in LINSTOR", where)
	}
	if _, err := l.replicas(ctx, id); err != nil {
		return "", err
	}
	path := definitionPath(id, "resources", where, "make-available")
	if err := l.do(ctx, http.MethodPost, path, struct{}{}, nil); err != nil {
		return "", err
	}
	replicas, err := l.replicas(ctx, id)
	if err != nil {
		return "", err
	}
	for _, replica := range replicas {
		if replica.Node == where && len(replica.Volumes) > 0 && replica.Volumes[0].DevicePath != "" {
			return replica.Volumes[0].DevicePath, nil
		}
	}
	return "", fmt.Errorf("%s has no device on %s yet", id, where)
}

// unpublish takes a replica without a disk away, and leaves one with a disk where it is.
func (l *linstor) unpublish(ctx context.Context, id, where string) error {
	replicas, err := l.replicas(ctx, id)
	if err != nil {
		return err
	}
	for _, replica := range replicas {
		if replica.Node == where && replica.diskless() {
			path := definitionPath(id, "resources", where) + "?keep_tiebreaker=true"
			err := l.do(ctx, http.MethodDelete, path, nil, nil)
			return unless(isNotFound(err) || hasCode(err, codeInUse), err)
		}
	}
	return nil
}

// expand makes a volume larger; it never gets smaller.
func (l *linstor) expand(ctx context.Context, id string, sizeKiB int64) error {
	path := definitionPath(id, "volume-definitions", "0")
	var have volumeDefinition
	if err := l.do(ctx, http.MethodGet, path, nil, &have); err != nil {
		return err
	}
	if have.SizeKiB >= sizeKiB {
		return nil
	}
	return l.do(ctx, http.MethodPut, path, map[string]any{"size_kib": sizeKiB}, nil)
}
