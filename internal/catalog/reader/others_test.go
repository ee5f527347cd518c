package reader

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/catalog"
)

// TestOtherIndexes: a function that another module registers is not forgotten.
// The module is reported once, with the line of its call of the SDK, and
// whatever it does not register is still forgotten.
func TestOtherIndexes(t *testing.T) {
	const glaze = "import { bus } from './kiln'\nexport const glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)\n"
	const dry = "import { bus } from './kiln'\nexport const dry = bus.createFunction({ id: 'dry' }, { event: 'x' }, async () => 1)\n"
	const index = "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nexport const { GET, POST } = serve({ client: bus, functions: [fire] })"
	for _, c := range []struct {
		name   string
		files  map[string]string
		others map[string]string
		// found lists the modules as PATH:LINE WORKER COUNT ONLY/PERHAPS,
		// incomplete ones with a "?".
		found, orphans string
	}{
		{"a second route", map[string]string{"glaze.ts": glaze, "dry.ts": dry,
			"app/api/second/route.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from '../../../kiln'\nimport { glaze } from '../../../glaze'\n\nexport const { GET, POST } = serve({\n  client: bus,\n  functions: [fire, glaze],\n})"},
			nil, "app/api/second/route.ts:6 2 glaze/", "dry"},
		{"a worker that connects", map[string]string{"glaze.ts": glaze,
			"worker.ts": "import { connect } from 'inngest/connect'\nimport { bus } from './kiln'\nimport { glaze } from './glaze'\nasync function main() {\n  await connect({ apps: [{ client: bus, functions: [glaze] }] })\n}\nmain()"},
			nil, "worker.ts:5 1 glaze/", ""},
		{"a handler that is called with each request", map[string]string{"glaze.ts": glaze,
			"lambda.ts": "import { serve } from 'inngest/lambda'\nimport { bus } from './kiln'\nimport { glaze } from './glaze'\nexport const handler = async (e: any, c: any) => {\n  return serve({ client: bus, functions: [glaze] })(e, c)\n}"},
			nil, "lambda.ts:5 1 glaze/", ""},
		{"a handler class", map[string]string{"glaze.ts": glaze,
			"own.ts": "import { InngestCommHandler } from 'inngest'\nimport { bus } from './kiln'\nimport { glaze } from './glaze'\nexport const own = new InngestCommHandler({ frameworkName: 'own', client: bus, functions: [glaze], handler: () => ({}) as any })"},
			nil, "own.ts:4 1 glaze/", ""},
		{"two other indexes with one list", map[string]string{"glaze.ts": glaze, "list.ts": "export { glaze } from './glaze'\nexport { dry } from './dry'", "dry.ts": dry,
			"a.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './kiln'\nimport * as all from './list'\nserve({ client: bus, functions: Object.values(all) })",
			"b.ts": "import { serve } from 'inngest/hono'\nimport { bus } from './kiln'\nimport * as all from './list'\nexport default serve({ client: bus, functions: [...Object.values(all)] })"},
			nil, "a.ts:4 2 dry,glaze/ b.ts:4 2 dry,glaze/", ""},
		{"a program around a module that serves", map[string]string{"glaze.ts": glaze,
			"serve.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './kiln'\nimport { glaze } from './glaze'\nexport const handler = serve({ client: bus, functions: [glaze] })",
			"main.ts":  "import { handler } from './serve'\nimport { Inngest } from 'inngest'\nimport { connect } from './db'\nconnect(Inngest)\nBun.serve({ fetch: handler })", "db.ts": "export const connect = (x: any) => x"},
			nil, "serve.ts:4 1 glaze/", ""},
		{"a wrapper that both use", map[string]string{"glaze.ts": glaze, "dry.ts": dry,
			"lib/create-handler.ts": "import { serve } from 'inngest/next'\nexport function createHandler(client: any, functions: any[]) {\n  return serve({ client, functions })\n}",
			"index.ts":              "import { createHandler } from './lib/create-handler'\nimport { bus, fire } from './kiln'\nexport const { GET } = createHandler(bus, [fire])",
			"second.ts":             "import { createHandler } from './lib/create-handler'\nimport { bus } from './kiln'\nimport { glaze } from './glaze'\nexport const { GET } = createHandler(bus, [glaze])"},
			nil, "second.ts:4 1 glaze/", "dry"},
		{"a wrapper that only the other uses, through a barrel", map[string]string{"glaze.ts": glaze,
			"lib/handler/create.ts": "import { serve } from 'inngest/next'\nexport const create = (client: any, functions: any[]) => serve({ client, functions })",
			"lib/handler/index.ts":  "export * from './create'",
			"second.ts":             "import { create } from './lib/handler'\nimport { bus } from './kiln'\nimport { glaze } from './glaze'\n\nexport const { GET } = create(bus, [glaze])"},
			nil, "second.ts:5 1 glaze/", ""},
		{"an index of another worker", map[string]string{"glaze.ts": glaze, "dry.ts": dry, "second.ts": "export { glaze } from './glaze'"},
			map[string]string{"second.ts": "oven"}, "second.ts:1 oven 1 glaze/", "dry"},
		{"an index of another worker that does not exist", map[string]string{"glaze.ts": glaze}, map[string]string{"gone.ts": "oven"}, "", "glaze"},
		{"a list that depends on the environment", map[string]string{"glaze.ts": glaze,
			"serve.ts": "import { serve } from 'inngest/bun'\nimport { bus, fire } from './kiln'\nimport { glaze } from './glaze'\nserve({ client: bus, functions: process.env.ROLE === 'a' ? [fire] : [glaze] })"},
			nil, "serve.ts:4 0 /glaze ?", ""},
		{"an index that throws", map[string]string{"glaze.ts": glaze, "dry.ts": dry,
			"serve.ts": "import { serve } from 'inngest/bun'\nimport { glaze } from './glaze'\nimport { bus } from './kiln'\nthrow new Error('not here')\nserve({ client: bus, functions: [glaze] })"},
			nil, "serve.ts:5 0 /glaze ?", "dry"},
		{"an index that cannot be parsed", map[string]string{"glaze.ts": glaze, "dry.ts": dry,
			"serve.ts": "import { serve } from 'inngest/bun'\nimport { glaze } from './glaze'\nimport { bus } from './kiln'\nserve({ client: bus, functions: [glaze] )"},
			nil, "serve.ts:1 0 /glaze ?", "dry"},
		{"an index that loads a folder", map[string]string{"jobs/glaze.ts": strings.ReplaceAll(glaze, "./kiln", "../kiln"),
			"serve.ts": "import { serve } from 'inngest/bun'\nimport { readdirSync } from 'node:fs'\nimport { bus } from './kiln'\nconst functions: any[] = []\nfor (const f of readdirSync('./jobs')) functions.push((await import('./jobs/' + f)).glaze)\nserve({ client: bus, functions })"},
			nil, "serve.ts:6 0 /glaze ?", ""},
		{"a registry class", map[string]string{"glaze.ts": glaze,
			"serve.ts": "import { serve } from 'inngest/bun'\nimport { glaze } from './glaze'\nimport { bus } from './kiln'\nclass Registry { all: any[] = []; add(f: any) { this.all.push(f) } }\nconst r = new Registry()\nr.add(glaze)\nserve({ client: bus, functions: r.all })"},
			nil, "serve.ts:7 0 /glaze ?", ""},
		{"a function that only another index calls", map[string]string{
			"build.ts": "import type { Inngest } from 'inngest'\nexport function build(c: Inngest) {\n  return c.createFunction({ id: 'built' }, { event: 'x' }, async () => 1)\n}",
			"serve.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './kiln'\nimport { build } from './build'\nserve({ client: bus, functions: [build(bus)] })"},
			nil, "serve.ts:4 1 built/", ""},
		{"another package of the workspace", map[string]string{"package.json": `{"workspaces":["apps/*","packages/*"]}`,
			"packages/jobs/package.json": `{"name":"@clay/jobs"}`, "packages/jobs/index.ts": "import { Inngest } from 'inngest'\nexport const bus = new Inngest({ id: 'kiln' })\nexport const fire = bus.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)\nexport const glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)\nexport const dry = bus.createFunction({ id: 'dry' }, { event: 'x' }, async () => 1)",
			"apps/a/package.json": `{"name":"a"}`, "apps/a/index.ts": "import { serve } from 'inngest/bun'\nimport { bus, fire } from '@clay/jobs'\nserve({ client: bus, functions: [fire] })",
			"apps/b/package.json": `{"name":"b"}`, "apps/b/src/route.ts": "import { serve } from 'inngest/next'\nimport { bus, glaze } from '@clay/jobs'\nexport const { GET } = serve({ client: bus, functions: [glaze] })",
			"index.ts": "export * from './apps/a/index'"},
			nil, "apps/a/index.ts:3 1 fire/ apps/b/src/route.ts:3 1 glaze/", "dry"},

		{"a package that imports the sources of another", map[string]string{"glaze.ts": glaze, "package.json": `{"name":"w"}`,
			"apps/b/package.json": `{"name":"b"}`, "apps/b/serve.ts": "import { serve } from 'inngest/bun'\nimport { jobs } from './jobs'\nserve({ client: {} as any, functions: jobs })", "apps/b/jobs.ts": "import { glaze } from 'c/list'\nexport const jobs = [glaze]",
			"pkg/c/package.json": `{"name":"c","dependencies":{"w":"*"}}`, "pkg/c/list.ts": "export { glaze } from 'w/glaze'"},
			nil, "", "glaze"},
		{"a package behind another package", map[string]string{"glaze.ts": glaze, "package.json": `{"name":"w","workspaces":["apps/*","pkg/*"]}`,
			"apps/b/package.json": `{"name":"b","dependencies":{"c":"*"}}`, "apps/b/serve.ts": "import { serve } from 'inngest/bun'\nimport { jobs } from './jobs'\nserve({ client: {} as any, functions: jobs })", "apps/b/jobs.ts": "import { glaze } from 'c/list'\nexport const jobs = [glaze]",
			"pkg/c/package.json": `{"name":"c","dependencies":{"w":"*"}}`, "pkg/c/list.ts": "export { glaze } from 'w/glaze'"},
			nil, "apps/b/serve.ts:3 1 glaze/", ""},
		{"a path into another package", map[string]string{"package.json": `{"workspaces":["apps/*"]}`,
			"apps/a/package.json": `{}`, "apps/a/index.ts": "import { serve } from 'inngest/bun'\nimport { bus, fire } from './kiln'\nserve({ client: bus, functions: [fire] })", "apps/a/kiln.ts": kiln, "apps/a/glaze.ts": glaze,
			"apps/b/package.json": `{}`, "apps/b/serve.ts": "import { serve } from 'inngest/bun'\nimport { bus } from '../a/kiln'\nimport { glaze } from '../a/glaze'\nserve({ client: bus, functions: [glaze] })"},
			nil, "apps/b/serve.ts:4 1 glaze/", ""},

		// These do not rescue a function.
		{"a test that serves", map[string]string{"glaze.ts": glaze,
			"serve.test.ts":      "import { serve } from 'inngest/bun'\nimport { glaze } from './glaze'\nimport { bus } from './kiln'\nserve({ client: bus, functions: [glaze] })",
			"__tests__/serve.ts": "import { serve } from 'inngest/bun'\nimport { glaze } from '../glaze'\nimport { bus } from '../kiln'\nserve({ client: bus, functions: [glaze] })",
			"e2e/server.ts":      "import { serve } from 'inngest/bun'\nimport { glaze } from '../glaze'\nimport { bus } from '../kiln'\nserve({ client: bus, functions: [glaze] })"},
			nil, "", "glaze"},
		{"a module that only uses the same words", map[string]string{"glaze.ts": glaze,
			"db.ts": "import { NonRetriableError } from 'inngest'\nimport { glaze } from './glaze'\nexport const connect = () => { serve(glaze); throw new NonRetriableError('x') }\ndeclare function serve(x: any): void"},
			nil, "", "glaze"},
		{"the same functions", map[string]string{
			"second.ts": "import { serve } from 'inngest/bun'\nimport { bus, fire } from './kiln'\nserve({ client: bus, functions: [fire] })"}, nil, "", ""},
		{"functions of its own", map[string]string{"glaze.ts": glaze,
			"apps/b/package.json": `{"name":"b"}`, "apps/b/serve.ts": "import { serve } from 'inngest/bun'\nimport { Inngest } from 'inngest'\nconst bus = new Inngest({ id: 'b' })\nserve({ client: bus, functions: [bus.createFunction({ id: 'own' }, { event: 'x' }, async () => 1)] })"}, nil, "", "glaze"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{"kiln.ts": kiln, "index.ts": index}
			for name, text := range c.files {
				files[name] = text
			}
			first := "index.ts"
			if _, ok := files["apps/a/index.ts"]; ok {
				delete(files, "kiln.ts")
				first = "apps/a/index.ts"
				c.found = strings.TrimPrefix(c.found, "apps/a/index.ts:3 1 fire/ ")
			}
			cat, err := Read(t.Context(), Options{Root: write(t, files), Indexes: []string{first}, Others: c.others})
			if err != nil {
				t.Fatal(err)
			}
			var found, orphans []string
			for _, o := range cat.Others {
				slices.Sort(o.Only)
				slices.Sort(o.Perhaps)
				text := fmt.Sprintf("%s:%d", o.Path, o.Line)
				if o.Worker != "" {
					text += " " + o.Worker
				}
				text += fmt.Sprintf(" %d %s/%s", o.Functions, strings.Join(o.Only, ","), strings.Join(o.Perhaps, ","))
				if o.Incomplete != "" {
					text += " ?"
				}
				found = append(found, text)
			}
			for _, o := range cat.Orphans {
				orphans = append(orphans, o.ID)
			}
			if got := strings.Join(found, " "); got != c.found {
				t.Errorf("got  %s\nwant %s", got, c.found)
			}
			if got := strings.Join(orphans, " "); got != c.orphans {
				t.Errorf("orphans %q, want %q", got, c.orphans)
			}
			if got := namesOf(cat.Indexes[0].Functions); got != "kiln/fire" || cat.Indexes[0].Incomplete {
				t.Errorf("the index registers %q, incomplete %v", got, cat.Indexes[0].Incomplete)
			}
			notes := 0
			for _, f := range catalog.Check(cat, catalog.CheckOptions{SameServer: true, Own: cat.Own()}) {
				if f.Code == catalog.CodeOtherIndex {
					notes++
				}
			}
			if notes != len(cat.Others) {
				t.Errorf("%d findings for %d modules", notes, len(cat.Others))
			}
		})
	}
}

// TestVia: the call of a factory that is reported is the one in which a reader
// finds the id. If no call contains it, it is the one that calls the factory.
func TestVia(t *testing.T) {
	const make = "const make = (id: string, o: any = {}) =>\n  inngest.createFunction({ id, ...o }, { event: id }, async () => 1)\n" // lines 2 and 3
	const head = "import { inngest } from './client'\n" + make
	for name, c := range map[string]struct{ text, want string }{
		"one factory":                         {"export const a = make('a')", "a:4"},
		"no factory":                          {"export const a = inngest.createFunction(\n  { id: 'a' }, { event: 'x' }, async () => 1)", "a:"},
		"in a main function":                  {"export const all: any[] = []\nfunction main() {\n  all.push(make('a'))\n}\nmain()", "a:6"},
		"in two functions":                    {"function jobs() {\n  return [make('a'),\n    make('b')]\n}\nfunction all() { return jobs() }\nexport const fns = all()", "a:5 b:6"},
		"a factory around a factory":          {"const job = (id: string) => make(id, { retries: 2 })\nexport const a = job('a')\nexport const b = job(\n  'b')", "a:5 b:7"},
		"options in the outer factory":        {"const job = (o: any) => make(o.id, o)\nexport const a = job({\n  name: 'A',\n  id: 'a',\n})", "a:6"},
		"an id that is put together":          {"const pair = (id: string) => [\n  make(id + '-a'),\n  make(id + '-b')]\nexport const fns = [...pair('x'), ...pair('y')]", "x-a:5 x-b:6 y-a:5 y-b:6"},
		"a list":                              {"export const fns = ['a', 'b'].map((id) =>\n  make(id))", "a:4 b:4"},
		"a list of lists":                     {"const each = (ids: string[]) => ids.map((id) => make(id))\nexport const fns = [\n  ...each(['a']),\n  ...each(['b'])]", "a:6 b:7"},
		"a function that sets everything up":  {"function setup() {\n  const id = 'a'\n  return make(id)\n}\nexport const fns = [setup()]", "a:6"},
		"a factory that is called by nothing": {"export const fns = [((id: string) => make(id))('a')]", "a:4"},
	} {
		t.Run(name, func(t *testing.T) {
			cat := read(t, write(t, map[string]string{"client.ts": clientModule, "index.ts": head + c.text}), "index.ts")
			var got []string
			for _, f := range cat.Indexes[0].Functions {
				_, line, _ := strings.Cut(f.Via, ":")
				got = append(got, f.ID+":"+line)
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != c.want {
				t.Errorf("got %s, want %s", s, c.want)
			}
		})
	}
}
