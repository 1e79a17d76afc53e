package csi

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"slices"
	"strings"
)

const (
	completedBy   = "Aux/csi-provisioning-completed-by"
	claimName     = "Aux/csi.storage.k8s.io/pvc/name"
	claimSpace    = "Aux/csi.storage.k8s.io/pvc/namespace"
	driverVersion = "linstor-csi/v1.12.0 (test bed)"
)

var errOtherSize = errors.New("the volume exists with another size")

// request is what the driver is told of a volume that it shall make.
type request struct {
	id               string
	sizeKiB          int64
	block            bool
	namespace, claim string
	preferred        []string // nodes, the best first; none: any node is as good
	parameters       parameters
}

// create makes a volume (K2). Sent again it goes on where the last try stopped (K3).
func (l *linstor) create(ctx context.Context, r request) error {
	existing, err := l.definition(ctx, r.id)
	if err != nil && !isNotFound(err) {
		return err
	}
	known := err == nil
	if known && strings.HasPrefix(existing.Props[completedBy], "linstor-csi") {
		return l.sameSize(ctx, r)
	}
	name, err := l.reconcileGroup(ctx, r.parameters)
	if err != nil {
		return err // what was made of the group stays
	}
	if err := l.createInGroup(ctx, r, name, known); err != nil {
		if undo := l.delete(ctx, r.id); undo != nil {
			log.Printf("csi: %s: after %v: %v", r.id, err, undo)
		}
		return err
	}
	return nil
}

func (l *linstor) createInGroup(ctx context.Context, r request, group string, known bool) error {
	if !known {
		made := map[string]any{"resource_definition": definition{Name: r.id, Group: group}}
		if err := l.do(ctx, http.MethodPost, definitions, made, nil); err != nil {
			return err
		}
	}
	if err := l.reconcileVolume(ctx, r); err != nil {
		return err
	}
	if err := l.place(ctx, r); err != nil {
		return err
	}
	props := properties{completedBy: driverVersion}
	if r.claim != "" {
		props[claimName], props[claimSpace] = r.claim, r.namespace
	}
	if err := l.do(ctx, http.MethodPut, definitionPath(r.id), changeProperties{Override: props}, nil); err != nil {
		return err
	}
	_, err := l.replicas(ctx, r.id) // where the volume can be used from
	return err
}

func (l *linstor) sameSize(ctx context.Context, r request) error {
	var volume volumeDefinition
	if err := l.do(ctx, http.MethodGet, definitionPath(r.id, "volume-definitions", "0"), nil, &volume); err != nil {
		return err
	}
	if volume.SizeKiB != r.sizeKiB {
		return fmt.Errorf("%w: %d KiB, wanted are %d", errOtherSize, volume.SizeKiB, r.sizeKiB)
	}
	return nil
}

func (l *linstor) reconcileGroup(ctx context.Context, p parameters) (string, error) {
	var have group
	err := l.do(ctx, http.MethodGet, groupPath(p.group), nil, &have)
	if isNotFound(err) {
		empty := map[string]any{"name": p.group, "select_filter": struct{}{}}
		if err := l.do(ctx, http.MethodPost, groups, empty, nil); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	change, err := p.change(have)
	if err != nil {
		return "", err
	}
	if change != nil {
		if err := l.do(ctx, http.MethodPut, groupPath(p.group), change, nil); err != nil {
			return "", err
		}
	}
	err = l.do(ctx, http.MethodGet, groupPath(p.group), nil, &have)
	return have.Name, err
}

func (l *linstor) reconcileVolume(ctx context.Context, r request) error {
	path := definitionPath(r.id, "volume-definitions")
	err := l.do(ctx, http.MethodGet, path+"/0", nil, nil)
	if !isNotFound(err) {
		return err
	}
	volume := volumeDefinition{SizeKiB: r.sizeKiB}
	if !r.block {
		volume.Props = properties{"FileSystem/Type": r.parameters.fsType, "FileSystem/MkfsParams": r.parameters.mkfs}
	}
	return l.do(ctx, http.MethodPost, path, map[string]any{"volume_definition": volume}, nil)
}

// place makes the replicas (K8): one on a preferred node, the others where LINSTOR likes.
func (l *linstor) place(ctx context.Context, r request) error {
	known, err := l.nodes(ctx)
	if err != nil {
		return err
	}
	all := make([]string, 0, len(known))
	for _, node := range known {
		all = append(all, node.Name)
	}
	slices.Sort(all)
	enough := func() (bool, error) {
		have, err := l.replicas(ctx, r.id)
		have = slices.DeleteFunc(have, func(r replica) bool { return r.diskless() })
		return len(have) >= r.parameters.filter.PlaceCount, err
	}
	if done, err := enough(); done || err != nil {
		return err
	}
	for _, preferred := range r.preferred {
		err := l.autoplace(ctx, r.id, filter{PlaceCount: 1, AdditionalCount: 1, Nodes: []string{preferred}})
		if err == nil {
			break
		}
		log.Printf("csi: %s: no replica on %s: %v", r.id, preferred, err)
	}
	if len(r.preferred) > 0 {
		if done, err := enough(); done || err != nil {
			return err
		}
	}
	nodes := filter{Nodes: all}
	if len(all) < r.parameters.filter.PlaceCount {
		nodes.PlaceCount = len(all)
	}
	if err := l.autoplace(ctx, r.id, nodes); err != nil || nodes.PlaceCount == 0 {
		return err
	}
	return l.autoplace(ctx, r.id, filter{})
}

func (l *linstor) autoplace(ctx context.Context, id string, where filter) error {
	return l.do(ctx, http.MethodPost, definitionPath(id, "autoplace"), map[string]any{"select_filter": where}, nil)
}
