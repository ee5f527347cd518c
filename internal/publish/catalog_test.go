package publish

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/reader"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// TestHostsFunctionsRefuseNothing checks that a repository laid out like the one
// this program was written for needs no configuration. Its second index belongs
// to another worker. Zero retries in that index, schedules from the environment
// and a spread that cannot be evaluated are only warnings.
func TestHostsFunctionsRefuseNothing(t *testing.T) {
	const dir = "packages/system-bus/src/inngest/"
	root := t.TempDir()
	for name, text := range map[string]string{
		"packages/system-bus/package.json": `{"name": "system-bus", "dependencies": {"inngest": "^3.54.2", "elsewhere": "link:../../../elsewhere"}}`,
		dir + "client.ts":                  `import { Inngest } from "inngest"; export const inngest = new Inngest({ id: "system-bus" });`,
		dir + "functions/index.cluster.ts": `import { safe } from "./safe"; export const clusterFunctionDefinitions = [safe];`,
		dir + "functions/index.host.ts": `import { once, swept } from "./host"; import { more } from "elsewhere";
export const hostFunctionDefinitions = [once, swept, ...more];`,
		dir + "functions/safe.ts": `import { inngest } from "../client";
const CRON = process.env.SWEEP_CRON ?? "*/5 * * * *";
export const safe = inngest.createFunction({ id: "safe", retries: 2 }, [{ cron: CRON }], async () => {});`,
		dir + "functions/host.ts": `import { inngest } from "../client";
export const once = inngest.createFunction({ id: "once", retries: 0 }, { event: "a/b" }, async () => {});
export const swept = inngest.createFunction({ id: "swept", retries: 0 }, [{ cron: process.env.OTHER_CRON ?? "*/7 * * * *" }], async () => {});`,
	} {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := worker.Default(worker.DefaultName)
	c, err := reader.Read(t.Context(), reader.Options{Root: root, Indexes: w.Catalog.Indexes})
	if err != nil {
		t.Fatal(err)
	}
	f := &Facts{o: Options{Worker: w}}
	counts := map[pipeline.Code]int{}
	for _, found := range f.Judge(c) {
		counts[found.Code]++
		if found.Severity == pipeline.Error {
			t.Errorf("refused: %s: %s", found.Code, found.Error())
		}
	}
	if counts["catalog-zero-retries"] != 2 || counts["catalog-unresolved"] == 0 {
		t.Errorf("findings = %v", counts)
	}
	// Zero retries in the index that the image registers are an error.
	w.Catalog.Indexes = w.Catalog.Indexes[1:]
	if c, err = reader.Read(t.Context(), reader.Options{Root: root, Indexes: w.Catalog.Indexes}); err != nil {
		t.Fatal(err)
	}
	if found := catalog.Check(c, catalog.CheckOptions{Own: c.Own()}); found[0].Severity != pipeline.Error {
		t.Errorf("findings = %v", found)
	}
}

// TestOtherIndexes: functions that another worker's image registers are not
// reported as missing.
func TestOtherIndexes(t *testing.T) {
	at := func(name string, indexes ...string) worker.Worker {
		return worker.Worker{Name: name, Catalog: worker.Catalog{Indexes: indexes}}
	}
	for name, c := range map[string]struct {
		own  worker.Worker
		want map[string]string
	}{
		"the first index of each":    {at("a", "a.ts"), map[string]string{"b.ts": "b", "src/c.ts": "c"}},
		"one that is compared":       {at("a", "a.ts", "b.ts"), map[string]string{"src/c.ts": "c"}},
		"a worker without functions": {at("none"), map[string]string{"a.ts": "a", "b.ts": "b", "src/c.ts": "c"}},
	} {
		o := Options{Worker: c.own, Siblings: []worker.Worker{at("a", "a.ts"), at("b", "b.ts", "x.ts"), at("c", "./src/c.ts"), at("none")}}
		if got := o.otherIndexes(); !maps.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
}
