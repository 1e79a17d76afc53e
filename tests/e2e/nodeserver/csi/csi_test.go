package csi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

// recorded is a LINSTOR that says what it was asked, and to some requests what a test wants; to the others an empty object
// or, below a view or a list, an empty list.
type recorded struct {
	requests []string
	answers  map[string]string // by request without its body; "404" and "500 code" are errors
}

func (r *recorded) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, _ := io.ReadAll(request.Body)
	line := request.Method + " " + strings.TrimPrefix(request.URL.String(), "/v1/")
	r.requests = append(r.requests, strings.TrimSpace(line+" "+string(body)))
	answer, known := r.answers[line]
	code := 0
	switch {
	case answer == "404":
		w.WriteHeader(http.StatusNotFound)
		answer = "[]"
	case strings.HasPrefix(answer, "500 "):
		_, _ = fmt.Sscanf(answer, "500 %d", &code)
		w.WriteHeader(http.StatusInternalServerError)
		answer = fmt.Sprintf(`[{"ret_code": %d, "message": "refused"}]`, code-(1<<62))
	case !known && (strings.Contains(line, "?cached") || strings.HasSuffix(line, "definitions")):
		answer = "[]"
	case !known:
		answer = "{}"
	}
	_, _ = io.WriteString(w, answer)
}

func serve(t *testing.T, answers map[string]string) (*recorded, *linstor) {
	t.Helper()
	r := &recorded{answers: answers}
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	return r, newLinstor(strings.TrimPrefix(server.URL, "http://"))
}

func expect(t *testing.T, r *recorded, want ...string) {
	t.Helper()
	if !slices.Equal(r.requests, want) {
		t.Errorf("requests:\n  %s\nwanted:\n  %s", strings.Join(r.requests, "\n  "), strings.Join(want, "\n  "))
	}
	r.requests = nil
}

func wanted(t *testing.T, preferred ...string) request {
	t.Helper()
	p, err := parseParameters(map[string]string{
		"autoPlace": "2", "linstor.csi.linbit.com/storagePool": "pool1", "resourceGroup": "shop",
		"csi.storage.k8s.io/fstype": "xfs", "property.linstor.csi.linbit.com/DrbdOptions/Net/tls": "yes"})
	if err != nil {
		t.Fatal(err)
	}
	return request{id: "pvc-1", sizeKiB: 1024, namespace: "ns", claim: "orders", preferred: preferred, parameters: p}
}

const (
	nodesList = `[{"name":"b","connection_status":"ONLINE"},{"name":"a","connection_status":"OFFLINE"}]`
	list      = "?cached=true&limit=0&offset=0"
)

func TestCreateSendsWhatTheDriverSends(t *testing.T) { // K2, K6, K7, K8
	r, l := serve(t, map[string]string{"GET resource-definitions/pvc-1": "404",
		"GET resource-definitions/pvc-1/volume-definitions/0": "404", "GET nodes" + list: nodesList,
		"GET resource-groups/shop": `{"name":"shop","select_filter":{}}`})
	if err := l.create(context.Background(), wanted(t)); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "GET resource-definitions/pvc-1", "GET resource-groups/shop",
		`PUT resource-groups/shop {"override_props":{"DrbdOptions/Net/tls":"yes"},"select_filter":`+
			`{"place_count":2,"storage_pool_list":["pool1"],"layer_stack":["DRBD","STORAGE"]}}`,
		"GET resource-groups/shop",
		`POST resource-definitions {"resource_definition":{"name":"pvc-1","resource_group_name":"shop"}}`,
		"GET resource-definitions/pvc-1/volume-definitions/0",
		`POST resource-definitions/pvc-1/volume-definitions {"volume_definition":{"volume_number":0,"size_kib":1024,`+
			`"props":{"FileSystem/MkfsParams":"","FileSystem/Type":"xfs"}}}`,
		"GET nodes"+list, "GET view/resources"+list,
		`POST resource-definitions/pvc-1/autoplace {"select_filter":{"node_name_list":["a","b"]}}`,
		`PUT resource-definitions/pvc-1 {"override_props":{"Aux/csi-provisioning-completed-by":"linstor-csi/v1.12.0 (test bed)",`+
			`"Aux/csi.storage.k8s.io/pvc/name":"orders","Aux/csi.storage.k8s.io/pvc/namespace":"ns"}}`,
		"GET view/resources"+list)
}

func TestTheFirstReplicaIsWhereThePodWillBe(t *testing.T) { // K8
	r, l := serve(t, map[string]string{"GET nodes" + list: nodesList})
	if err := l.place(context.Background(), wanted(t, "b")); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "GET nodes"+list, "GET view/resources"+list,
		`POST resource-definitions/pvc-1/autoplace {"select_filter":{"place_count":1,"additional_place_count":1,"node_name_list":["b"]}}`,
		"GET view/resources"+list,
		`POST resource-definitions/pvc-1/autoplace {"select_filter":{"node_name_list":["a","b"]}}`)
}

func TestAskedAgainACompleteVolumeIsLeftAlone(t *testing.T) { // K3
	r, l := serve(t, map[string]string{
		"GET resource-definitions/pvc-1":                      `{"props":{"Aux/csi-provisioning-completed-by":"linstor-csi/v1.12.0"}}`,
		"GET resource-definitions/pvc-1/volume-definitions/0": `{"size_kib":1024}`})
	again := wanted(t)
	if err := l.create(context.Background(), again); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "GET resource-definitions/pvc-1", "GET resource-definitions/pvc-1/volume-definitions/0")
	again.sizeKiB = 2048
	if err := l.create(context.Background(), again); !errors.Is(err, errOtherSize) {
		t.Errorf("another size: %v", err)
	}
}

func TestAFailedVolumeIsTakenAway(t *testing.T) { // K3, K4
	replicas := `[{"name":"pvc-1","node_name":"a"},{"name":"pvc-1","node_name":"b","flags":["DISKLESS"]},{"name":"x","node_name":"a"}]`
	r, l := serve(t, map[string]string{"GET resource-definitions/pvc-1": "404", "GET view/resources" + list: replicas,
		"POST resource-definitions/pvc-1/autoplace": "500 996"})
	if err := l.create(context.Background(), wanted(t)); !hasCode(err, 996) {
		t.Fatalf("create: %v", err)
	}
	at := slices.IndexFunc(r.requests, func(s string) bool { return strings.Contains(s, "BalanceResourcesEnabled") })
	r.requests = r.requests[max(at, 0):]
	expect(t, r, `PUT resource-definitions/pvc-1 {"override_props":{"BalanceResourcesEnabled":"False"}}`,
		"GET view/resources"+list,
		"DELETE resource-definitions/pvc-1/resources/b?keep_tiebreaker=false",
		"DELETE resource-definitions/pvc-1/resources/a?keep_tiebreaker=false",
		"DELETE resource-definitions/pvc-1/volume-definitions/0",
		`PUT resource-definitions/pvc-1 {"delete_props":["Aux/csi-provisioning-completed-by"]}`,
		"GET view/resources"+list, "GET view/snapshots"+list)
}

func TestAClassDoesNotChangeAValue(t *testing.T) { // K7, K11
	have := group{Name: "shop", Props: properties{"DrbdOptions/Net/tls": "no"}}
	asked := wanted(t)
	if _, err := asked.parameters.change(have); err == nil {
		t.Error("a group that says no became one that says yes")
	}
	r, l := serve(t, map[string]string{"GET resource-definitions/pvc-1": "404", "PUT resource-groups/shop": "500 1"})
	if err := l.create(context.Background(), wanted(t)); err == nil {
		t.Error("LINSTOR refused the group's value, and nobody heard of it")
	}
	if slices.ContainsFunc(r.requests, func(s string) bool { return strings.HasPrefix(s, "DELETE") }) {
		t.Errorf("a group that was there is taken apart: %v", r.requests)
	}
}

func TestGroupsOfTheSameContentsHaveOneName(t *testing.T) { // K6
	name := func(class map[string]string) string {
		p, err := parseParameters(class)
		if err != nil {
			t.Fatal(err)
		}
		return p.group
	}
	a, b := name(map[string]string{"autoPlace": "2"}), name(map[string]string{"linstor.csi.linbit.com/placementCount": "2"})
	if a != b || a == name(map[string]string{"autoPlace": "3"}) || !strings.HasPrefix(a, "sc-") {
		t.Errorf("%s, %s", a, b)
	}
	if _, err := parseParameters(map[string]string{"autoplaec": "2"}); err == nil {
		t.Error("a misspelt parameter was taken")
	}
}
