package csi

import (
	"crypto/sha1"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
)

const (
	// Driver is the name of LINSTOR's CSI driver, and of the provisioner in StorageClasses.
	Driver = "linstor.csi.linbit.com"

	propertyNamespace   = "property.linstor.csi.linbit.com/"
	kubernetesNamespace = "csi.storage.k8s.io/"
	topologyNamespace   = "Aux/topology/"
)

// filter is a group's select_filter, with the fields that a StorageClass can set (K7).
type filter struct {
	PlaceCount          int      `json:"place_count,omitempty"`
	AdditionalCount     int      `json:"additional_place_count,omitempty"`
	Nodes               []string `json:"node_name_list,omitempty"`
	Pools               []string `json:"storage_pool_list,omitempty"`
	Layers              []string `json:"layer_stack,omitempty"`
	Same                []string `json:"replicas_on_same,omitempty"`
	Different           []string `json:"replicas_on_different,omitempty"`
	NotWithRegex        string   `json:"not_place_with_rsc_regex,omitempty"`
	DisklessOnRemaining bool     `json:"diskless_on_remaining,omitempty"`
}

type group struct {
	Name   string     `json:"name"`
	Filter filter     `json:"select_filter"`
	Props  properties `json:"props"`
}

// parameters is what a StorageClass asks for.
type parameters struct {
	group      string
	filter     filter
	props      properties
	mkfs       string
	fsType     string
	usePVCName bool
}

func parseParameters(class map[string]string) (parameters, error) {
	p := parameters{filter: filter{PlaceCount: 1, Layers: []string{"DRBD", "STORAGE"}}, props: properties{}, fsType: "ext4"}
	for key, value := range class {
		if name, ok := strings.CutPrefix(key, propertyNamespace); ok {
			p.props[name] = value
			continue
		}
		if key == kubernetesNamespace+"fstype" && value != "" {
			p.fsType = value
		}
		name, ours := strings.CutPrefix(key, Driver+"/")
		if !ours && strings.Contains(key, "/") {
			continue // somebody else's
		}
		if err := p.set(strings.ToLower(name), value); err != nil {
			return p, fmt.Errorf("parameter %s: %w", key, err)
		}
	}
	if p.group == "" {
		p.group = "sc-" + p.digest()
	}
	return p, nil
}

func (p *parameters) set(name, value string) (err error) {
	switch name {
	case "autoplace", "placementcount":
		p.filter.PlaceCount, err = strconv.Atoi(value)
	case "storagepool":
		p.filter.Pools = strings.Fields(value)
	case "layerlist":
		p.filter.Layers = strings.Fields(strings.ToUpper(value))
	case "replicasonsame":
		p.filter.Same = topologyKeys(value)
	case "replicasondifferent":
		p.filter.Different = topologyKeys(value)
	case "donotplacewithregex":
		p.filter.NotWithRegex = value
	case "disklessonremaining":
		p.filter.DisklessOnRemaining, err = strconv.ParseBool(value)
	case "resourcegroup":
		p.group = value
	case "usepvcname":
		p.usePVCName, err = strconv.ParseBool(value)
	case "fsopts":
		p.mkfs = value
	case "allowremotevolumeaccess", "mountopts", "placementpolicy":
		// Nothing of these reaches LINSTOR; every node may use every volume here.
	default:
		err = fmt.Errorf("the test bed's driver does not know it")
	}
	return err
}

func topologyKeys(value string) []string {
	keys := strings.Fields(value)
	for i := range keys {
		keys[i] = topologyNamespace + keys[i]
	}
	return keys
}

// digest names a group after what is asked of it: two classes that ask for the same share it.
func (p *parameters) digest() string {
	data, _ := json.Marshal([]any{p.filter, p.props}) // maps are written in the order of their keys
	return uuid.NewHash(sha1.New(), uuid.NameSpaceURL, append([]byte(Driver), data...), 5).String()
}

// change says what a group lacks; nil when nothing. A property that has another value is an error (K7).
func (p *parameters) change(have group) (map[string]any, error) {
	changes, props := map[string]any{}, properties{}
	for key, value := range p.props {
		old, found := have.Props[key]
		if found && old != value {
			return nil, fmt.Errorf("cannot change existing property value of %s: existing = %s, expected = %s", key, old, value)
		}
		if !found {
			props[key] = value
		}
	}
	if !sameFilter(have.Filter, p.filter) {
		changes["select_filter"] = p.filter
	}
	if len(props) > 0 {
		changes["override_props"] = props
	}
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, nil
}

func sameFilter(a, b filter) bool {
	return a.PlaceCount == b.PlaceCount && a.NotWithRegex == b.NotWithRegex &&
		a.DisklessOnRemaining == b.DisklessOnRemaining && slices.Equal(a.Pools, b.Pools) &&
		slices.Equal(a.Layers, b.Layers) && slices.Equal(a.Same, b.Same) && slices.Equal(a.Different, b.Different)
}
