package client

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

// recordings is the directory of the recordings that the double is tested
// against.
const recordings = "../../sandbox/inngestd/testdata/recordings"

// recorded reads the body of a recorded response.
func recorded(t testing.TB, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(recordings, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		Response struct{ Body json.RawMessage }
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(r.Response.Body, into); err != nil {
		t.Fatal(err)
	}
}

func TestRecordedFunctions(t *testing.T) {
	var body struct {
		Data struct{ Functions []gqlFunction }
	}
	recorded(t, "gql-functions-v3-and-v4", &body)
	var viaREST []struct {
		ID     string
		Name   string
		Config storedFunction
	}
	recorded(t, "v1-app-functions", &viaREST)
	var graph, rest []model.Function
	for _, f := range body.Data.Functions {
		graph = append(graph, f.function("system-bus-cluster"))
	}
	for _, r := range viaREST {
		f := model.Function{Slug: r.ID, Name: r.Name, App: "system-bus-cluster"}
		r.Config.fill(&f)
		rest = append(rest, f)
	}
	if d := judge.Compare(rest, graph[:4]); !d.Empty() || len(d.Kept) != 4 {
		t.Errorf("GraphQL and REST differ: %+v", d)
	}
	retries := map[string]int{}
	for _, f := range graph {
		retries[f.Slug] = f.Retries
	}
	want := map[string]int{
		"system-bus-cluster-approval-request": 2, "system-bus-cluster-queue-observer": 4, "system-bus-cluster-queue-observer-failure": 1,
		"system-bus-cluster-voice-missed-call": 0, "v4-worker-approval-request": 2, "v4-worker-hourly": 4, "v4-worker-zero": 0,
	}
	if fmt.Sprint(retries) != fmt.Sprint(want) {
		t.Errorf("retries %v", retries)
	}
	if got := graph[6].Concurrency; len(got) != 1 || got[0] != (model.Concurrency{Scope: "FUNCTION", Limit: 2}) {
		t.Errorf("concurrency %v", got)
	}
	if graph[0].Concurrency != nil {
		t.Errorf("the server's own limit is shown: %v", graph[0].Concurrency)
	}
}
