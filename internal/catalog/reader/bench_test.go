package reader

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"
)

// BenchmarkRead reads a generated worker with 200 functions in 300 files of
// realistic size (9 KB each, 2.7 MB in total): 200 modules with one function
// each, 98 libraries that they use, and two indexes. It reports the peak heap
// usage and how the time compares with esbuild bundling the same sources
// (x-bundle).
func BenchmarkRead(b *testing.B) {
	root := generate(b, 200, 98)
	o := Options{Root: root, Indexes: []string{"src/index.cluster.ts", "src/index.host.ts"}}
	peak := watchHeap()
	for b.Loop() {
		cat, err := Read(b.Context(), o)
		if err != nil {
			b.Fatal(err)
		}
		if n := len(cat.Indexes[0].Functions) + len(cat.Indexes[1].Functions); n != 200 || len(cat.Unresolved) > 0 || len(cat.Orphans) > 0 {
			b.Fatalf("%d functions, %d unresolved, %d orphans", n, len(cat.Unresolved), len(cat.Orphans))
		}
	}
	b.ReportMetric(float64(peak())/(1<<20), "peak-MB")
	b.StopTimer()
	ours := b.Elapsed() / time.Duration(b.N)
	start := time.Now()
	built := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join(root, "src/index.cluster.ts"), filepath.Join(root, "src/index.host.ts")},
		Bundle:      true, Packages: api.PackagesExternal, Platform: api.PlatformNode, Format: api.FormatESModule,
		Outdir: b.TempDir(), LogLevel: api.LogLevelSilent,
	})
	if len(built.Errors) > 0 {
		b.Fatal(built.Errors[0].Text)
	}
	b.ReportMetric(float64(ours)/float64(time.Since(start)), "x-bundle")
}

// BenchmarkReadNothing reads a repository without Inngest.
func BenchmarkReadNothing(b *testing.B) {
	root := b.TempDir()
	for b.Loop() {
		cat, err := Read(b.Context(), Options{Root: root, Indexes: []string{"src/index.ts"}})
		if err != nil || !cat.Empty() {
			b.Fatal(cat, err)
		}
	}
}

// watchHeap samples the heap of the process until its result is called.
func watchHeap() func() uint64 {
	stop, done := make(chan struct{}), make(chan uint64)
	runtime.GC()
	go func() {
		var most uint64
		sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			metrics.Read(sample)
			most = max(most, sample[0].Value.Uint64()-sample[1].Value.Uint64())
			select {
			case <-tick.C:
			case <-stop:
				done <- most
				return
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-done
	}
}

// generate writes a worker with n functions and m libraries.
func generate(tb testing.TB, n, m int) string {
	tb.Helper()
	root := tb.TempDir()
	write := func(name, text string) {
		tb.Helper()
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	write("package.json", `{"name": "generated", "private": true, "type": "module", "dependencies": {"inngest": "^3", "zod": "^4"}}`)
	write("tsconfig.json", `{"compilerOptions": {"paths": {"@/*": ["./src/*"]}}}`)
	write("src/client.ts", "import { Inngest } from \"inngest\";\nexport const inngest = new Inngest({ id: \"generated\" });\n")
	for i := range m {
		write(fmt.Sprintf("src/lib/lib%d.ts", i), generateLib(r, i, m))
	}
	indexes := map[string]*strings.Builder{"cluster": {}, "host": {}}
	var names [2][]string
	for i := range n {
		write(fmt.Sprintf("src/functions/fn%d.ts", i), generateFunction(r, i, m))
		which := min(i/50, 1)
		fmt.Fprintf(indexes[[]string{"cluster", "host"}[which]], "import { fn%d } from \"./functions/fn%d\";\n", i, i)
		names[which] = append(names[which], fmt.Sprintf("fn%d", i))
	}
	for i, name := range []string{"cluster", "host"} {
		fmt.Fprintf(indexes[name], "export const %sFunctions = [\n  %s,\n];\n", name, strings.Join(names[i], ",\n  "))
		write("src/index."+name+".ts", indexes[name].String())
	}
	return root
}

func generateFunction(r *rand.Rand, i, libs int) string {
	var b strings.Builder
	a, c := r.IntN(libs), r.IntN(libs)
	fmt.Fprintf(&b, "import { z } from \"zod\";\nimport { inngest } from \"../client\";\nimport { helper%d, CRON_%d } from \"@/lib/lib%d\";\nimport * as lib from \"../lib/lib%d\";\n\n", a, a, a, c)
	fmt.Fprintf(&b, "const ID = `generated/fn-${%d}`;\nconst defaults = { retries: %d as const, concurrency: { limit: %d } };\nconst schema = z.object({ id: z.string(), n: z.number().optional() });\ntype Input = z.infer<typeof schema>;\n\n", i, i%5+1, i%3+1)
	trigger := fmt.Sprintf("{ event: \"generated/event.%d\" }", i)
	if i%4 == 0 {
		trigger = fmt.Sprintf("[{ cron: CRON_%d }, %s]", a, trigger)
	}
	fmt.Fprintf(&b, "export const fn%d = inngest.createFunction(\n  { ...defaults, id: ID, name: \"Function %d\" },\n  %s,\n  async ({ event, step }) => {\n    const input: Input = schema.parse(event.data);\n", i, i, trigger)
	for j := range 22 {
		generateStep(&b, j, a, "lib")
	}
	b.WriteString("    return { done: true as const };\n  },\n);\n")
	return b.String()
}

func generateStep(b *strings.Builder, j, helper int, lib string) {
	fmt.Fprintf(b, `    const result%[1]d = await step.run("step-%[1]d", async (): Promise<Record<string, unknown>> => {
      // What a step does: calls, templates, regular expressions, optional chains.
      const text = %[4]sitem ${input.id} of ${event.name?.replace(/[^a-z0-9]+/gi, "-") ?? "unknown"}%[4]s;
      if (!text.includes("item") || (input.n ?? 0) > %[1]d) {
        throw new Error(%[4]sstep %[1]d failed for ${text}%[4]s);
      }
      const value = await helper%[2]d<Input>(input, { attempts: %[1]d, log: (line: string) => console.log("[step]", line) });
      return { ...value, text, at: new Date().toISOString(), size: Object.keys(%[3]s).length };
    });
`, j, helper, lib, "`")
}

func generateLib(r *rand.Rand, i, libs int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "import { readFile } from \"node:fs/promises\";\nimport { helper%d as next } from \"./lib%d\";\n\n", (i+1)%libs, (i+1)%libs)
	fmt.Fprintf(&b, "export const CRON_%d = \"%d %d * * *\";\n", i, r.IntN(60), r.IntN(24))
	fmt.Fprintf(&b, "export type Options%d = { attempts: number; log?: (line: string) => void };\n\nexport async function helper%d<T extends object>(input: T, options: Options%d): Promise<Partial<T>> {\n  const { attempts, log = () => {} } = options;\n", i, i, i)
	for j := range 40 {
		fmt.Fprintf(&b, "  if (attempts === %d) {\n    const parts = (await readFile(`/tmp/${%d}.json`, \"utf8\")).split(/\\n+/).map((line) => line.trim());\n    log(`read ${parts.length} lines, ${parts.filter(Boolean).join(\", \")}`);\n  }\n", j, j)
	}
	b.WriteString("  return attempts > 100 ? next(input, options) : (input as Partial<T>);\n}\n")
	return b.String()
}
