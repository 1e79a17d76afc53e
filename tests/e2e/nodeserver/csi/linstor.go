package csi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// linstor is the REST API of LINSTOR's controller, as far as the driver uses it.
type linstor struct {
	base   string
	client http.Client
}

func newLinstor(address string) *linstor {
	return &linstor{base: "http://" + address,
		// Loopback: a proxy from the environment must not see it. The driver waits for a minute (csi-provisioner --timeout).
		client: http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 10}}}
}

// Codes of LINSTOR's answers; the bits above say which operation, object and severity.
const (
	codeMask    = 0xffff
	codeInUse   = 997
	codeHasDfns = 501 // of a group that is to be deleted
)

type apiEntry struct {
	RetCode int64  `json:"ret_code"`
	Message string `json:"message"`
	Cause   string `json:"cause"`
	Details string `json:"details"`
}

// apiError is an answer with a status of 400 or more.
type apiError struct {
	request string
	status  int
	entries []apiEntry
}

func (e *apiError) Error() string {
	text := fmt.Sprintf("%s: status %d", e.request, e.status)
	for _, entry := range e.entries {
		text += "; " + entry.Message
		if entry.Details != "" && entry.RetCode < 0 { // the top bits of an error make it negative
			text += " (" + entry.Details + ")"
		}
	}
	return text
}

func isNotFound(err error) bool {
	var answer *apiError
	return errors.As(err, &answer) && answer.status == http.StatusNotFound
}

func hasCode(err error, code int64) bool {
	var answer *apiError
	return errors.As(err, &answer) &&
		slices.ContainsFunc(answer.entries, func(entry apiEntry) bool { return entry.RetCode&codeMask == code })
}

// unless drops an error that counts as success.
func unless(fine bool, err error) error {
	if fine {
		return nil
	}
	return err
}

// do sends body (nil: none) and reads the answer into answer (nil: dropped).
func (l *linstor) do(ctx context.Context, method, path string, body, answer any) error {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(data)
	}
	request, err := http.NewRequestWithContext(ctx, method, l.base+path, content)
	if err != nil {
		return err
	}
	request.Header.Set("Accept", "application/json")
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	reply, err := l.client.Do(request)
	if err != nil {
		return err
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		return err
	}
	if reply.StatusCode >= http.StatusBadRequest {
		failure := &apiError{request: method + " " + path, status: reply.StatusCode}
		_ = json.Unmarshal(text, &failure.entries) // 404 may have no list
		return failure
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

type properties map[string]string

// changeProperties is the body of every PUT that changes properties.
type changeProperties struct {
	Override properties `json:"override_props,omitempty"`
	Delete   []string   `json:"delete_props,omitempty"`
}

type definition struct {
	Name  string     `json:"name"`
	Group string     `json:"resource_group_name"`
	Props properties `json:"props,omitempty"`
}

type volumeDefinition struct {
	Number  int        `json:"volume_number"`
	SizeKiB int64      `json:"size_kib"`
	Props   properties `json:"props,omitempty"`
}

type node struct {
	Name       string `json:"name"`
	Connection string `json:"connection_status"`
}

type storagePool struct {
	Node     string `json:"node_name"`
	Name     string `json:"storage_pool_name"`
	Provider string `json:"provider_kind"`
	FreeKiB  int64  `json:"free_capacity"`
}

type replica struct {
	Name  string   `json:"name"`
	Node  string   `json:"node_name"`
	Flags []string `json:"flags"`
	State struct {
		InUse bool `json:"in_use"`
	} `json:"state"`
	Volumes []struct {
		DevicePath string `json:"device_path"`
	} `json:"volumes"`
}

func (r *replica) diskless() bool {
	return slices.Contains(r.Flags, "DISKLESS") || slices.Contains(r.Flags, "DRBD_DISKLESS")
}

type snapshot struct {
	Resource string `json:"resource_name"`
}

const (
	wholeList   = "?cached=true&limit=0&offset=0"
	definitions = "/v1/resource-definitions"
	groups      = "/v1/resource-groups"
)

func (l *linstor) nodes(ctx context.Context) (all []node, err error) {
	return all, l.do(ctx, http.MethodGet, "/v1/nodes"+wholeList, nil, &all)
}

func (l *linstor) pools(ctx context.Context) (all []storagePool, err error) {
	return all, l.do(ctx, http.MethodGet, "/v1/view/storage-pools"+wholeList, nil, &all)
}

// replicas asks for all resources and picks those of one definition, as the driver does.
func (l *linstor) replicas(ctx context.Context, name string) ([]replica, error) {
	var all []replica
	if err := l.do(ctx, http.MethodGet, "/v1/view/resources"+wholeList, nil, &all); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r replica) bool { return r.Name != name }), nil
}

func (l *linstor) hasSnapshots(ctx context.Context, name string) (bool, error) {
	var all []snapshot
	err := l.do(ctx, http.MethodGet, "/v1/view/snapshots"+wholeList, nil, &all)
	return slices.ContainsFunc(all, func(s snapshot) bool { return s.Resource == name }), err
}

func (l *linstor) definition(ctx context.Context, name string) (result definition, err error) {
	return result, l.do(ctx, http.MethodGet, definitionPath(name), nil, &result)
}

func definitionPath(name string, below ...string) string {
	path := definitions + "/" + url.PathEscape(name)
	for _, part := range below {
		path += "/" + url.PathEscape(part)
	}
	return path
}

func groupPath(name string) string { return groups + "/" + url.PathEscape(name) }
