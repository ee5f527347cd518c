package reader

import (
	"fmt"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/catalog"
)

const kiln = `import { Inngest } from 'inngest'
export const bus = new Inngest({ id: 'kiln' })
export const fire = bus.createFunction({ id: 'fire', retries: 0 }, { event: 'clay/ready' }, async () => 1)
`

// Bodies of this length are left out when their module is parsed.
var longText = "'" + strings.Repeat("the kiln is heated up slowly; ", 8) + "'"

// TestNothingIsLost: everything that an index registers with the SDK is
// listed, or its absence is reported with a place. No case may end with a
// catalog that claims to be complete but lacks the function, or that reports a
// called function as an orphan.
func TestNothingIsLost(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		// listed contains the functions of the index as APP/ID, perhaps those that
		// it may register as well, and open the places of what is not determined.
		listed, perhaps, open string
	}{
		// A module whose left-out body contains a call keeps the import for
		// it.
		{"connect in a long body", map[string]string{"index.ts": "import { connect } from 'inngest/connect'\nimport { bus, fire } from './kiln'\nasync function main() {\n  console.log(" + longText + ")\n  await connect({ apps: [{ client: bus, functions: [fire] }] })\n}\nmain()"},
			"kiln/fire", "", ""},
		{"connect without functions", map[string]string{"index.ts": "import { connect } from 'inngest/connect'\nimport { bus } from './kiln'\nawait connect({ apps: [{ client: bus }] })"}, "kiln/fire", "", ""},
		{"an alias in a long body", map[string]string{"index.ts": "import { serve as wire } from 'inngest/hono'\nimport * as all from './kiln'\nexport default () => {\n  console.log(" + longText + ")\n  return wire({ client: all.bus, functions: [all.fire] })\n}"},
			"kiln/fire", "", ""},
		// Files that depend on the runtime.
		{"a condition of the runtime", map[string]string{"package.json": `{"workspaces":["pkg/*"]}`, "index.ts": "export { fire } from './kiln'\nexport { job } from '@clay/jobs'", "pkg/jobs/package.json": `{"name":"@clay/jobs","exports":{".":{"bun":"./bun.ts","node":"./node.ts"}}}`, "pkg/jobs/bun.ts": "import { bus } from '../../kiln'\nexport const job = bus.createFunction({ id: 'bun' }, { event: 'x' }, async () => 1)", "pkg/jobs/node.ts": "import { bus } from '../../kiln'\nexport const job = bus.createFunction({ id: 'node' }, { event: 'x' }, async () => 1)"},
			"kiln/fire", "", "index.ts:2 pkg/jobs/bun.ts:2 pkg/jobs/node.ts:2"},
		{"a condition of the environment", map[string]string{"package.json": `{"imports":{"#jobs/*":{"production":"./prod/*.ts","default":"./dev/*.ts"}}}`, "index.ts": "export { fire } from './kiln'\nexport { job } from '#jobs/glaze'", "prod/glaze.ts": "export const job = 1", "dev/glaze.ts": "import { bus } from '../kiln'\nexport const job = bus.createFunction({ id: 'dev' }, { event: 'x' }, async () => 1)"},
			"kiln/fire", "", "dev/glaze.ts:2 index.ts:2"},
		{"conditions that agree", map[string]string{"package.json": `{"workspaces":["pkg/*"],"imports":{"#kiln":{"browser":"./none.ts","bun":"./kiln.ts","node":"./kiln.ts"}}}`, "index.ts": "export { fire } from '#kiln'\nexport { job } from '@clay/jobs'", "pkg/jobs/package.json": `{"name":"@clay/jobs","exports":{".":{"types":"./dist/index.d.ts","bun":"./src/index.ts","development":"./src/index.ts","import":"./dist/index.js","require":"./dist/index.cjs"}}}`, "pkg/jobs/src/index.ts": "import { bus } from '../../../kiln'\nexport const job = bus.createFunction({ id: 'job' }, { event: 'x' }, async () => 1)"},
			"kiln/fire kiln/job", "", ""},
		{"a condition for require", map[string]string{"package.json": `{"imports":{"#jobs":{"require":"./a.cjs","default":"./b.ts"}}}`, "index.ts": "export { fire } from './kiln'\nexport const { job } = require('#jobs')", "a.cjs": "module.exports = { job: 1 }", "b.ts": "import { bus } from './kiln'\nexport const job = bus.createFunction({ id: 'b' }, { event: 'x' }, async () => 1)"},
			"kiln/fire", "", "b.ts:2 index.ts:2"},
		{"a type for one runtime", map[string]string{"package.json": `{"imports":{"#t":{"bun":"./kiln.ts","node":"./other.ts"}}}`, "index.ts": "import type { T } from '#t'\nexport { fire } from './kiln'\nexport const t: T = 1", "other.ts": "export type T = 1"}, "kiln/fire", "", ""},
		{"a name that two export *", map[string]string{"index.ts": "export { fire } from './kiln'\nexport * from './a'\nexport * from './b'", "a.ts": "import { bus } from './kiln'\nexport const job = bus.createFunction({ id: 'a' }, { event: 'x' }, async () => 1)", "b.ts": "import { bus } from './kiln'\nexport const job = bus.createFunction({ id: 'b' }, { event: 'x' }, async () => 1)\nexport const only = bus.createFunction({ id: 'only' }, { event: 'x' }, async () => 1)"},
			"kiln/fire kiln/only", "kiln/a kiln/b", "index.ts:2"},
		{"a name that two export * in a registry", map[string]string{"index.ts": "import * as jobs from './jobs'\nimport { serve } from 'inngest/bun'\nimport { bus } from './kiln'\nserve({ client: bus, functions: Object.values(jobs) })", "jobs.ts": "export * from './kiln'\nexport * from './b'", "b.ts": "import { bus } from './kiln'\nexport const fire = bus.createFunction({ id: 'b' }, { event: 'x' }, async () => 1)"},
			"", "kiln/fire kiln/b", "jobs.ts:1"},
		{"a name that two export * and the module itself", map[string]string{"index.ts": "export * from './kiln'\nexport * from './b'\nexport { fire } from './kiln'", "b.ts": "export const fire = 1"}, "kiln/fire", "", ""},
		{"one binding by two routes", map[string]string{"index.ts": "export * from './kiln'\nexport * from './b'", "b.ts": "export * from './kiln'"}, "kiln/fire", "", ""},
		{"a parameter that hides a name", map[string]string{"index.ts": "import { bus, fire } from './kiln'\nconst id = 'outer'\nconst make = (id: string) => {\n  console.log(" + longText + ")\n  return bus.createFunction({ id }, { event: 'x' }, async () => 1)\n}\nconst wrap = (id: string, next: any) => {\n  console.log(" + longText + ")\n  return next(id)\n}\nexport const functions = [fire, make('a'), wrap('b', make)]\nexport const more = [id].map((id) => {\n  const bus = { id: id + '-c' }\n  return () => { console.log(" + longText + "); return make(bus.id) }\n}).map((f) => f())"}, "kiln/fire kiln/a kiln/b kiln/outer-c", "", ""},
		{"an import for its type alone", map[string]string{"index.ts": "import type { Other } from './other'\nimport { fire } from './kiln'\nexport const fns = [fire]\nexport const x = (o: Other) => { console.log(" + longText + "); return o }",
			"other.ts": "export type Other = 1\nthrow new Error('never loaded')"}, "kiln/fire", "", ""},

		// Here serve is called when a request arrives, or by a framework.
		{"a handler that is exported", map[string]string{"index.ts": "import { serve } from 'inngest/lambda'\nimport { bus, fire } from './kiln'\nexport async function POST(req: Request) { return serve({ client: bus, functions: [fire] })(req) }"}, "kiln/fire", "", ""},
		{"a factory that is exported", map[string]string{"index.ts": "import { serve } from 'inngest/express'\nimport express from 'express'\nimport { bus, fire } from './kiln'\nexport function makeApp() { const app = express(); app.use('/api/inngest', serve({ client: bus, functions: [fire] })); return app }"}, "kiln/fire", "", ""},
		{"a callback of a framework", map[string]string{"index.ts": "import { Hono } from 'hono'\nimport { serve } from 'inngest/hono'\nimport { bus, fire } from './kiln'\nconst app = new Hono()\napp.on(['GET', 'PUT'], '/api/inngest', (c) => serve({ client: bus, functions: [fire] })(c))\nexport default app"}, "kiln/fire", "", ""},
		{"an object of a framework", map[string]string{"index.ts": "import { serve } from 'inngest/edge'\nimport { bus, fire } from './kiln'\nBun.serve({ port: 1, fetch: (req: Request) => serve({ client: bus, functions: [fire] })(req) })"}, "kiln/fire", "", ""},
		{"a worker's default export", map[string]string{"index.ts": "import { serve } from 'inngest/cloudflare'\nimport { Inngest } from 'inngest'\nexport default { async fetch(request: Request, env: any) { const bus = new Inngest({ id: 'kiln', env: env.NAME })\n const fire = bus.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)\n return serve({ client: bus, functions: [fire] })({ request, env }) } }"}, "kiln/fire", "", ""},
		{"Fastify's plugin", map[string]string{"index.ts": "import Fastify from 'fastify'\nimport plugin from 'inngest/fastify'\nimport { bus, fire } from './kiln'\nconst app = Fastify()\napp.register(plugin, { client: bus, functions: [fire], options: {} })"}, "kiln/fire", "", ""},
		{"Fastify's plugin by its name", map[string]string{"index.ts": "import Fastify from 'fastify'\nimport { fastifyPlugin } from 'inngest/fastify'\nimport { bus, fire } from './kiln'\nexport async function build() { const app = Fastify(); await app.register(fastifyPlugin, { client: bus, functions: [fire] }); return app }"}, "kiln/fire", "", ""},
		{"the SDK's handler class", map[string]string{"index.ts": "import { InngestCommHandler } from 'inngest'\nimport { bus, fire } from './kiln'\nconst door = new InngestCommHandler({ frameworkName: 'own', client: bus, functions: [fire], handler: (req: Request) => ({}) as any })\nBun.serve({ fetch: door.createHandler() })"}, "kiln/fire", "", ""},
		{"a subclass of it", map[string]string{"index.ts": "import { InngestCommHandler } from 'inngest'\nimport { bus, fire } from './kiln'\nclass Door extends InngestCommHandler<any, any, any> {}\nconst door = new Door({ frameworkName: 'own', client: bus, functions: [fire] } as any)\nBun.serve({ fetch: door.createHandler() })"}, "", "kiln/fire", "index.ts:3 index.ts:4"},
		{"a server that nothing starts", map[string]string{"index.ts": "import { serve } from 'inngest/hono'\nimport { bus, fire } from './kiln'\nfunction start() { return serve({ client: bus, functions: [fire] }) }"}, "", "kiln/fire", "index.ts:3"},
		{"the SDK imported by the function", map[string]string{"index.ts": "import { bus, fire } from './kiln'\nexport async function handler(req: any) { const { serve } = await import('inngest/lambda'); return serve({ client: bus, functions: [fire] })(req) }"}, "kiln/fire", "", ""},
		{"a controller class", map[string]string{"index.ts": "import { Controller, All, Req, Inject } from '@nestjs/common'\nimport { serve } from 'inngest/express'\nimport { bus, fire } from './kiln'\n@Controller('api/inngest')\nexport class Door {\n  constructor(@Inject('x') private readonly x: any) {}\n  @All()\n  handle(@Req() req: any) { return serve({ client: bus, functions: [fire] })(req, {} as any) }\n}"}, "", "kiln/fire", "index.ts:5 index.ts:8"},
		{"a name of the SDK passed on", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { wrap } from '@clay/wrap'\nimport { bus, fire } from './kiln'\nexport const { GET } = wrap(serve, { client: bus, functions: [fire] })"}, "", "kiln/fire", "index.ts:4"},
		{"a wrapper of a package", map[string]string{"index.ts": "import { createNextServe } from '@clay/wrap'\nimport { bus, fire } from './kiln'\nexport const { GET, POST } = createNextServe(bus, [fire])"}, "", "kiln/fire", "index.ts:3"},
		{"either of two servers", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus, fire } from './kiln'\nconst glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)\nif (process.env.A) serve({ client: bus, functions: [fire] })\nelse serve({ client: bus, functions: [glaze] })"}, "", "kiln/fire kiln/glaze", "index.ts:4 index.ts:5"},
		{"the same of two servers", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus, fire } from './kiln'\nconst functions = [fire]\nconst h = process.env.A ? serve({ client: bus, functions }) : serve({ client: bus, functions, signingKey: 'x' })"}, "kiln/fire", "", ""},
		{"two apps", map[string]string{"index.ts": "import { serve } from 'inngest/hono'\nimport { Inngest } from 'inngest'\nimport { bus, fire } from './kiln'\nconst oven = new Inngest({ id: 'oven' })\nconst bake = oven.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)\nserve({ client: bus, functions: [fire] })\nserve({ client: oven, functions: [bake] })"}, "kiln/fire oven/fire", "", ""},
		{"a handler's own id", map[string]string{"index.ts": "import { serve } from 'inngest/hono'\nimport { bus, fire } from './kiln'\nserve({ id: 'oven', client: bus, functions: [fire] })"}, "oven/fire", "", ""},

		{"functions that are added after serve", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus, fire } from './kiln'\nconst glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)\nconst list = [fire]\nexport const one = serve({ client: bus, functions: list })\nlist.push(glaze)\nexport const two = serve({ client: bus, functions: list })"}, "kiln/fire kiln/glaze", "", ""},
		{"a list that is filled after an await", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus } from './client'\nconst functions: any[] = []\nasync function init() { const m = await import('./jobs'); functions.push(m.late) }\ninit()\nexport const { GET } = serve({ client: bus, functions })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "jobs.ts": "export const late = 1"}, "", "", ""},
		{"a list that is filled before serve", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus } from './kiln'\nconst functions: any[] = []\nasync function init() { const m = await import('./kiln'); functions.push(m.fire) }\nawait init()\nexport const { GET } = serve({ client: bus, functions })"}, "kiln/fire", "", ""},
		{"serve after awaits", map[string]string{"index.ts": "import { serve } from 'inngest/express'\nimport { bus, fire } from './kiln'\nimport { open } from 'company-db'\nasync function main() { try { await open(); app.use(serve({ client: bus, functions: [fire] })); await app.listen(3) } catch (e) { process.exit(1) } }\nmain().catch(console.error)\ndeclare const app: any"}, "kiln/fire", "", ""},
		{"a promise of the functions", map[string]string{"index.ts": "import { serve } from 'inngest/express'\nimport { bus } from './kiln'\nasync function all() { const m = await import('./kiln'); return [m.fire] }\nall().then((functions) => app.use('/x', serve({ client: bus, functions })))\ndeclare const app: any"}, "kiln/fire", "", ""},
		{"a callback of a package's promise", map[string]string{"index.ts": "import { serve } from 'inngest/express'\nimport { connect } from 'mongo'\nimport { bus, fire } from './kiln'\nconnect('x').then(() => { app.use('/x', serve({ client: bus, functions: [fire] })) })\ndeclare const app: any"}, "kiln/fire", "", ""},
		{"a mounted application", map[string]string{"index.ts": "import { Hono } from 'hono'\nimport { routes } from './routes'\nexport default new Hono().route('/api', routes)", "routes.ts": "import { Hono } from 'hono'\nimport { serve } from 'inngest/hono'\nimport { bus, fire } from './kiln'\nexport const routes = new Hono().on(['PUT'], '/inngest', serve({ client: bus, functions: [fire] }))"}, "kiln/fire", "", ""},
		{"a main function that may return first", map[string]string{"index.ts": "import { serve } from 'inngest/node'\nimport { createServer } from 'node:http'\nimport { bus, fire } from './kiln'\nfunction main() { if (!process.env.KEY) { console.error('no key'); return }\n createServer(serve({ client: bus, functions: [fire] })).listen(3000) }\nmain()"}, "", "kiln/fire", "index.ts:5"},
		{"a check that throws", map[string]string{"index.ts": "import { serve } from 'inngest/node'\nimport { bus, fire } from './kiln'\nif (!process.env.KEY) throw new Error('no key')\nexport default serve({ client: bus, functions: [fire] })"}, "kiln/fire", "", ""},
		{"a server of the SDK", map[string]string{"index.ts": "import { createServer } from 'inngest/node'\nimport { bus, fire } from './kiln'\ncreateServer({ client: bus, functions: [fire] }).listen(3000)"}, "kiln/fire", "", ""},
		{"another serve beside", map[string]string{"index.ts": "import { serve as wire } from 'inngest/hono'\nimport { serve } from '@hono/node-server'\nimport { Hono } from 'hono'\nimport { bus, fire } from './kiln'\nconst app = new Hono()\napp.use('/x', wire({ client: bus, functions: [fire] }))\nserve({ fetch: app.fetch, port: 3 })"}, "kiln/fire", "", ""},

		// These lists are partly known.
		{"a registry that functions fill", map[string]string{"index.ts": "import { fire } from './kiln'\nconst registry: Record<string, any> = {}\nexport function add(name: string, f: any) { registry[name] = f }\nadd('fire', fire)\nexport const functions = Object.entries(registry).map(([, f]) => f)"}, "kiln/fire", "", ""},
		{"a list that a function replaces", map[string]string{"index.ts": "import { fire } from './kiln'\nlet functions: any[] = []\nfunction setup() { functions = [...functions, fire] }\nsetup()\nexport { functions }"}, "kiln/fire", "", ""},
		{"a function made by a handler", map[string]string{"index.ts": "import { bus, fire } from './kiln'\nexport { fire }\nexport const outer = bus.createFunction({ id: 'outer' }, { event: 'x' }, async () => { bus.createFunction({ id: 'inner' }, { event: 'y' }, async () => 1) })"}, "kiln/fire kiln/outer", "kiln/inner", "index.ts:3"},
		{"a subclass of the client", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nclass Bus extends Inngest { job(id: string) { return this.createFunction({ id }, { event: id }, async () => 1) } }\nconst bus = new Bus({ id: 'kiln' })\nexport const a = bus.job('a')\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "/b", "", "index.ts:2 index.ts:4"},
		{"a condition", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nconst h = serve({ client: bus, functions: process.env.NODE_ENV === 'production' ? [fire] : [] })\nexport const { GET } = h"}, "", "kiln/fire", "index.ts:3"},
		{"a spread after the functions", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nconst HOST = process.env.A === 'b' ? 'https://kiln.example' : undefined\nexport const { GET } = serve({ client: bus, functions: [fire], ...(HOST ? { serveHost: HOST } : {}) })"}, "kiln/fire", "", ""},
		{"a spread of && after the functions", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nexport const { GET } = serve({ client: bus, functions: [fire], ...(process.env.HOST && { serveHost: process.env.HOST }) })"}, "kiln/fire", "", ""},
		{"a spread that may have functions", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nexport const { GET } = serve({ client: bus, functions: [fire], ...(process.env.A ? { functions: [] } : {}) })"}, "", "kiln/fire", "index.ts:3"},
		{"a spread of an object or nothing", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nconst extra = process.env.A ? { servePath: '/x' } : undefined\nexport const { GET } = serve({ client: bus, functions: [fire], ...extra, ...(process.env.B ? { id: 'kiln' } : null), ...(process.env.C === 'x' && ['a']) } as any)"}, "kiln/fire", "", ""},
		{"a glob beside", map[string]string{"index.ts": "export { fire } from './kiln'\nexport const found = Object.values(import.meta.glob('./jobs/*.ts', { eager: true })).flatMap((m: any) => Object.values(m))", "jobs/glaze.ts": "import { bus } from '../kiln'; export const glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)"},
			"kiln/fire", "kiln/glaze", "index.ts:2"},
		{"a folder beside", map[string]string{"index.ts": "import { readdirSync } from 'node:fs'\nexport { fire } from './kiln'\nexport const found: any[] = []\nfor (const f of readdirSync('./jobs')) {\n  const m = await import(`./jobs/${f}`)\n  found.push(m.default)\n}", "jobs/glaze.ts": "import { bus } from '../kiln'; export default bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)"},
			"kiln/fire", "kiln/glaze", "index.ts:4 index.ts:5"},
		{"a folder for its effects", map[string]string{"index.ts": "import { all } from './registry'\nimport { readdirSync } from 'node:fs'\nfor (const f of readdirSync('./jobs')) require('./jobs/' + f)\nexport { all }", "registry.ts": "export const all: any[] = []", "jobs/glaze.ts": "import { bus } from '../kiln'; import { all } from '../registry'; all.push(bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1))"},
			"", "kiln/fire kiln/glaze", "index.ts:3"},
		{"a folder of callbacks", map[string]string{"index.ts": "import { glob } from 'fast-glob'\nimport { fire } from './kiln'\nexport const fns = [fire]\nexport const more = (await glob('jobs/*.ts')).map((f: string) => import(f))", "jobs/glaze.ts": "import { bus } from '../kiln'; export default bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)"},
			"kiln/fire", "kiln/glaze", "index.ts:4"},

		// An alias that only a bundler knows, and other imports that cannot be
		// resolved here.
		{"an alias of a referenced project", map[string]string{"tsconfig.json": `{"files":[],"references":[{"path":"./tsconfig.app.json"}]}`, "tsconfig.app.json": `{"compilerOptions":{"paths":{"@/*":["./src/*"]}}}`, "src/jobs/glaze.ts": "import { bus } from '../../kiln'\nexport const glaze = bus.createFunction({ id: 'glaze', retries: 0 }, { event: 'x' }, async () => 1)", "index.ts": "import { fire } from './kiln'\nimport { glaze } from '@/jobs/glaze'\nexport const functions = [fire, glaze]"}, "kiln/fire", "kiln/glaze", "index.ts:2"},
		{"an import with a query", map[string]string{"glaze.ts": "import { bus } from './kiln'\nexport const glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)", "index.ts": "import { fire } from './kiln'\nimport { glaze } from './glaze?worker'\nexport const functions = [fire, glaze]"}, "kiln/fire", "kiln/glaze", "index.ts:2"},
		{"another case of letters", map[string]string{"Jobs/index.ts": "import { bus } from '../kiln'\nexport const glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)", "index.ts": "import { fire } from './kiln'\nimport { glaze } from './jobs'\nexport const functions = [fire, glaze]"}, "kiln/fire", "kiln/glaze", "index.ts:2"},

		// These forms are not evaluated.
		{"a generator", map[string]string{"index.ts": "import { bus } from './client'\nfunction* all() { for (const id of ['fire', 'glaze']) yield bus.createFunction({ id }, { event: id }, async () => 1) }\nexport const functions = [...all()]", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })"}, "", "", "index.ts:2 index.ts:3"},
		{"a generator of what exists", map[string]string{"index.ts": "import { fire } from './kiln'\nfunction* all() { yield fire }\nexport const functions = [...all()]\nexport const other = 1"}, "", "kiln/fire", "index.ts:3"},
		{"an object with an iterator", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nconst all = { *[Symbol.iterator]() { yield fire } }\nexport const { GET } = serve({ client: bus, functions: Array.from(all) })"}, "", "kiln/fire", "index.ts:4"},
		{"decorators of methods", map[string]string{"index.ts": "import { serve } from 'inngest/next'\nimport { bus } from './client'\nconst all: any[] = []\nfunction Job(id: string, retries?: number) {\n  return (t: any, key: string, d: any) => { all.push(bus.createFunction({ id, retries }, { event: id }, d.value)) }\n}\nclass Jobs { @Job('a') async a() {} @Job('b', 0) async b() {} }\nexport const { GET } = serve({ client: bus, functions: all })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })"}, "", "kiln/a kiln/b", "index.ts:5 index.ts:5"},
		{"a class that registers", map[string]string{"index.ts": "import { fire } from './kiln'\nclass Registry { list: any[] = []; add(f: any) { this.list.push(f); return this } }\nexport const registry = new Registry().add(fire)\nexport const glaze = 1"}, "", "kiln/fire", "index.ts:3"},
		{"a class that registers as it is made", map[string]string{"index.ts": "import { fire } from './kiln'\nexport const all: any[] = []\nclass Boot { constructor() { all.push(fire) } }\nnew Boot()"}, "", "kiln/fire", "index.ts:3"},
		{"a static member", map[string]string{"index.ts": "import { bus, fire } from './kiln'\nclass Jobs { static glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1) }\nexport const functions = [fire, Jobs.glaze]"}, "kiln/fire", "", "index.ts:2"},
		{"a provider", map[string]string{"index.ts": "import { match } from 'ts-pattern'\nimport { Kiln, Local } from './provider'\nclass Jobs {\n  private inner: any\n  constructor(list: any[]) { this.inner = match(process.env.JOBS).with('inngest', () => new Kiln()).otherwise(() => new Local()); list.forEach((j) => { this.inner.define(j) }) }\n  handler() { return this.inner.handler() }\n}\nexport const jobs = new Jobs([{ id: 'fire', on: 'clay/ready', run: () => 1 }])",
			"provider.ts": "import { Inngest } from 'inngest'\nimport { serve } from 'inngest/hono'\nexport class Kiln {\n  private made: any[] = []\n  private bus = new Inngest({ id: 'kiln' })\n  define(job: any) { this.made.push(this.bus.createFunction({ id: job.id }, { event: job.on }, async () => job.run())) }\n  handler() { return (c: any) => serve({ client: this.bus, functions: this.made })(c) }\n}\nexport class Local { define(_: any) {} handler() { return () => new Response() } }"},
			"", "", "index.ts:8 provider.ts:6 provider.ts:7"},
		{"a map", map[string]string{"index.ts": "import { fire } from './kiln'\nconst m = new Map()\nm.set('fire', fire)\nexport const functions = [...m.values()]"}, "", "kiln/fire", "index.ts:3"},
		{"a reduction", map[string]string{"index.ts": "import * as k from './kiln'\nexport const functions = ['fire'].reduce((all: any[], n) => [...all, (k as any)[n]], [])\nexport const other = 1"}, "", "kiln/fire", "index.ts:2"},
		{"a list that is sorted", map[string]string{"index.ts": "import { fire } from './kiln'\nconst list = [fire]\nlist.sort()\nexport { list }"}, "", "kiln/fire", "index.ts:3"},
		{"an accessor", map[string]string{"index.ts": "import { fire } from './kiln'\nexport const jobs = { get all() { return [fire] } }"}, "", "kiln/fire", "index.ts:2"},
		{"a factory that nothing calls", map[string]string{"index.ts": "export { fire } from './kiln'\nexport { make } from './make'", "make.ts": "import { bus } from './kiln'\nexport const make = () => bus.createFunction({ id: 'glaze', retries: 0 }, { event: 'x' }, async () => 1)"}, "kiln/fire", "kiln/glaze", "make.ts:2"},

		{"a list that is reversed", map[string]string{"index.ts": `import { fire } from './kiln'
export default [fire].toReversed()
export const x = 1`}, "", "kiln/fire", "index.ts:2"},
		{"elements that are assigned", map[string]string{"index.ts": `import { fire } from './kiln'
export const fns: any[] = []
fns[0] = fire`}, "", "kiln/fire", "index.ts:3"},
		{"a destructuring assignment", map[string]string{"index.ts": `import { serve } from 'inngest/hono'
import { bus, fire } from './kiln'
let a: any
;[a] = [fire]
serve({ client: bus, functions: [a] })`}, "", "kiln/fire", "index.ts:3"},
		{"a switch", map[string]string{"index.ts": `import { serve } from 'inngest/hono'
import { bus, fire } from './kiln'
function fns(role: string) { switch (role) { case 'worker': return [fire]; default: return [] } }
serve({ client: bus, functions: fns('worker') })`}, "", "kiln/fire", "index.ts:3"},
		{"a loop that may break", map[string]string{"index.ts": `import { fire } from './kiln'
export const fns: any[] = []
for (const f of [fire]) { if (fns.length > 9) break; fns.push(f) }`}, "", "kiln/fire", "index.ts:3"},
		{"a counting loop", map[string]string{"client.ts": `import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })`, "index.ts": "import { bus } from './client'\nexport const fns: any[] = []\nfor (let i = 0; i < 3; i++) fns.push(bus.createFunction({ id: `shard-${i}` }, { event: 'x' }, async () => 1))"}, "", "", "index.ts:3"},
		{"Array.from", map[string]string{"index.ts": `import { bus } from './client'
export const fns = Array.from({ length: 3 }, (_, i) => bus.createFunction({ id: 'shard-' + i }, { event: 'x' }, async () => 1))`, "client.ts": `import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })`}, "", "", "index.ts:2 index.ts:2"},
		{"a property that is deleted", map[string]string{"index.ts": `import * as k from './kiln'
const all: any = { ...k }
delete all.bus
export const functions = Object.values(all)`}, "", "kiln/fire", "index.ts:3"},
		{"this of an object", map[string]string{"index.ts": `import { serve } from 'inngest/hono'
import { bus, fire } from './kiln'
const reg = { list: [] as any[], add(f: any) { this.list.push(f); return this } }
reg.add(fire)
serve({ client: bus, functions: reg.list })`}, "", "kiln/fire", "index.ts:3"},
		{"a property of a function", map[string]string{"index.ts": `import { serve } from 'inngest/hono'
import { bus, fire } from './kiln'
function Jobs() {}
Jobs.all = [fire]
serve({ client: bus, functions: (Jobs as any).all })`}, "", "kiln/fire", "index.ts:4 index.ts:5"},
		{"createFunction by bind", map[string]string{"index.ts": `import { serve } from 'inngest/hono'
import { bus, fire } from './kiln'
const create = bus.createFunction.bind(bus)
serve({ client: bus, functions: [fire, create({ id: 'glaze' }, { event: 'x' }, async () => 1)] })`}, "kiln/fire kiln/glaze", "", ""},
		{"createFunction by call and apply", map[string]string{"index.ts": `import { bus } from './client'
export const fns = [bus.createFunction.call(bus, { id: 'glaze' }, { event: 'x' }, async () => 1)]
export const one = bus.createFunction.apply(bus, [{ id: 'one' }, { event: 'x' }, async () => 1] as any)`, "client.ts": `import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })`}, "", "", "index.ts:2 index.ts:3"},
		{"serve by call", map[string]string{"index.ts": `import { serve } from 'inngest/next'
import { bus, fire } from './kiln'
export const { GET } = serve.call(null, { client: bus, functions: [fire] })`}, "", "kiln/fire", "index.ts:3"},
		{"a decorator that registers", map[string]string{"client.ts": `import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })`, "index.ts": `import { Job, jobs } from './registry'
class Jobs {
  @Job('glaze') async run() {}
}
export const functions = jobs`, "registry.ts": `import { bus } from './client'
export const jobs: any[] = []
export function Job(id: string) { return (t: any, k: string, d: any) => { jobs.push(bus.createFunction({ id }, { event: id }, d.value)) } }`}, "", "kiln/glaze", "registry.ts:3"},
		{"a service of a container", map[string]string{"index.ts": `import { NestFactory } from '@nestjs/core'
import { serve } from 'inngest/express'
import { Jobs } from './jobs'
import { bus } from './client'
async function bootstrap() { const app = await NestFactory.create({}); app.use(serve({ client: bus, functions: app.get(Jobs).all() })) }
bootstrap()`, "jobs.ts": `import { bus } from './client'
export class Jobs { all() { return [bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)] } }`, "client.ts": `import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })`}, "", "", "index.ts:5 jobs.ts:2"},
		{"an effect system", map[string]string{"index.ts": `import { Effect } from 'effect'
import { connect } from 'inngest/connect'
import { bus, fire } from './kiln'
const go = Effect.fn('x')((client: any) => Effect.tryPromise({ try: () => connect({ apps: [{ client, functions: [fire] }] }) }))
Effect.runPromise(go(bus))`}, "kiln/fire", "", ""},
		{"the main module alone", map[string]string{"index.ts": `import { connect } from 'inngest/connect'
import { bus, fire } from './kiln'
if (import.meta.main) await connect({ apps: [{ client: bus, functions: [fire] }] })`}, "", "kiln/fire", "index.ts:3"},
		{"a client kept by globalThis", map[string]string{"index.ts": `import { serve } from 'inngest/next'
import { Inngest } from 'inngest'
const g = globalThis as any
const bus: Inngest = g.bus ?? new Inngest({ id: 'kiln' })
if (process.env.NODE_ENV !== 'production') g.bus = bus
serve({ client: bus, functions: [bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)] })`}, "/glaze", "", ""},
		{"imports of package.json", map[string]string{"package.json": `{"name": "w", "imports": {"#kiln": "./lib/jobs.mts"}}`, "index.ts": `export { fire, more } from '#kiln'`, "lib/jobs.mts": `export { fire } from '../kiln.js'
export { more } from './more.cjs'`, "lib/more.cts": `import { bus } from '../kiln'
export const more = bus.createFunction({ id: 'more' }, { event: 'x' }, async () => 1)`, "kiln.ts": kiln}, "kiln/fire kiln/more", "", ""},
		{"what a compiler made", map[string]string{"index.ts": `export { functions } from './index.js'`, "index.js": `"use strict";
Object.defineProperty(exports, "__esModule", { value: true });
exports.functions = void 0;
var kiln_1 = require('./kiln');
exports.functions = [kiln_1.fire];`}, "kiln/fire", "", ""},

		// Code that replaces createFunction may change any option. The id of
		// the function inside is not known; its retries: 0 is checked.
		{"a subclass with its own createFunction", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nclass Bus extends Inngest {\n  createFunction(o: any, t: any, h: any): any { return super.createFunction({ ...o, id: 'x-' + o.id, retries: 0 }, t, h) }\n}\nconst bus = new Bus({ id: 'kiln' })\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "", "/b /", "index.ts:3 index.ts:3"},
		{"a subclass with a property", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nclass Bus extends Inngest {\n  private base: any = this.createFunction\n  override createFunction: any = (o: any, t: any, h: any) => this.base({ ...o, retries: 0 }, t, h)\n}\nconst bus = new Bus({ id: 'kiln' })\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "", "/b", "index.ts:4"},
		{"a subclass of such a subclass", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nclass Base extends Inngest {\n  constructor() {\n    super({ id: 'kiln' })\n    const c: any = this.createFunction\n    this.createFunction = ((o: any, t: any, h: any) => c({ ...o, retries: 0 }, t, h)) as any\n  }\n}\nclass Bus extends Base {}\nconst bus = new Bus()\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "", "/b", "index.ts:6"},
		{"a wrapper class", map[string]string{"index.ts": "import { Jobs } from './jobs'\nconst jobs = new Jobs()\nexport const b = jobs.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)", "jobs.ts": "import { Inngest } from 'inngest'\nexport class Jobs {\n  bus = new Inngest({ id: 'kiln' })\n  createFunction(o: any, t: any, h: any) { return this.bus.createFunction({ ...o, retries: 0 }, t, h) }\n}"}, "", "/b /", "jobs.ts:4 jobs.ts:4"},
		{"a static method that replaces it", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nconst bus = new Inngest({ id: 'kiln' })\nclass P {\n  static wrap(i: any) {\n    const c = i.createFunction\n    i.createFunction = (o: any, ...r: any[]) => c({ ...o, retries: 0 }, ...r)\n  }\n}\nP.wrap(bus)\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "", "kiln/b", "index.ts:6"},
		{"a callback of a package that replaces it", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nimport { tap } from 'taps'\nconst bus = new Inngest({ id: 'kiln' })\ntap(bus, (i: any) => {\n  const c = i.createFunction\n  i['createFunction'] = (o: any, ...r: any[]) => c({ ...o, retries: 0 }, ...r)\n})\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "", "kiln/b", "index.ts:6"},
		{"Object.defineProperty", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nconst bus = new Inngest({ id: 'kiln' })\nconst c: any = bus.createFunction\nObject.defineProperty(bus, 'createFunction', { value: (o: any, ...r: any[]) => c({ ...o, retries: 0 }, ...r) })\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "", "kiln/ /b", "index.ts:4 index.ts:4"},
		{"Object.assign of a copy", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nconst base = new Inngest({ id: 'kiln' })\nconst bus = Object.assign(Object.create(base), {\n  createFunction: (o: any, t: any, h: any) => base.createFunction({ ...o, retries: 0 }, t, h) })\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "", "kiln/ /b", "index.ts:4 index.ts:4"},
		{"a replacement that is evaluated", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nconst bus = new Inngest({ id: 'kiln' })\nfunction wrap(i: any) { const c = i.createFunction; i.createFunction = (o: any, t: any, h: any) => c({ ...o, id: 'x-' + o.id }, t, h) }\nwrap(bus)\nexport const b = bus.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "kiln/x-b", "", "index.ts:5"},
		{"a wrapper that is evaluated", map[string]string{"index.ts": "import { Inngest } from 'inngest'\nconst bus = new Inngest({ id: 'kiln' })\nconst jobs = { createFunction: (o: any, t: any, h: any) => bus.createFunction({ ...o, id: 'x-' + o.id }, t, h) }\nexport const b = jobs.createFunction({ id: 'b' }, { event: 'b' }, async () => 1)"}, "kiln/x-b", "", "index.ts:4"},

		// Values are passed to a package at any depth.
		{"a constructor's options", map[string]string{"index.ts": "import { App } from 'clay'\nimport { fire } from './kiln'\nexport const app = new App({ s: { r: [{ h: fire }] } })"}, "", "kiln/fire", "index.ts:3"},
		{"a call's options", map[string]string{"index.ts": "import { start } from 'clay'\nimport { fire } from './kiln'\nstart({ a: { b: { c: { d: { e: [[{ f: { g: fire } }]] } } } } })"}, "", "kiln/fire", "index.ts:3"},
		{"a function in a constructor's options", map[string]string{"index.ts": "import { Mastra } from '@mastra/core'\nimport { serve } from '@mastra/inngest'\nimport { bus, fire } from './kiln'\nexport const app = new Mastra({ server: { routes: [{ path: '/x', handler: async () => serve({ inngest: bus, functions: [fire] }) }] } })"}, "", "kiln/fire", "index.ts:4"},

		// The worker starts programs that register functions of their own.
		{"a worker thread", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nimport { Worker } from 'node:worker_threads'\nnew Worker(new URL('./other.ts', import.meta.url))\nserve({ client: bus, functions: [] })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "other.ts": "import { connect } from 'inngest/connect'\nimport { bus, fire } from './kiln'\nawait connect({ apps: [{ client: bus, functions: [fire] }] })"}, "", "kiln/fire", "index.ts:4"},
		{"a fork", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nimport { fork } from 'node:child_process'\nfork('./other.ts')\nserve({ client: bus, functions: [] })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "other.ts": "import { connect } from 'inngest/connect'\nimport { bus, fire } from './kiln'\nawait connect({ apps: [{ client: bus, functions: [fire] }] })"}, "", "kiln/fire", "index.ts:4"},
		{"a fork of what is built", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nimport { fork } from 'node:child_process'\nfork('./other.js')\nserve({ client: bus, functions: [] })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "other.ts": "import { connect } from 'inngest/connect'\nimport { bus, fire } from './kiln'\nawait connect({ apps: [{ client: bus, functions: [fire] }] })"}, "", "kiln/fire", "index.ts:4"},
		{"Bun.spawn", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nconst dir = 1\nBun.spawn(['bun', 'other.ts'])\nserve({ client: bus, functions: [] })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "other.ts": "import { connect } from 'inngest/connect'\nimport { bus, fire } from './kiln'\nawait connect({ apps: [{ client: bus, functions: [fire] }] })"}, "", "kiln/fire", "index.ts:4"},
		{"spawn", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nimport { spawn } from 'node:child_process'\nspawn('node', ['other.js'], { stdio: 'inherit' })\nserve({ client: bus, functions: [] })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "other.ts": "import { connect } from 'inngest/connect'\nimport { bus, fire } from './kiln'\nawait connect({ apps: [{ client: bus, functions: [fire] }] })"}, "", "kiln/fire", "index.ts:4"},
		{"a program that registers nothing", map[string]string{"index.ts": "export { fire } from './kiln'\nimport { fork } from 'node:child_process'\nfork('./other.ts')", "other.ts": "console.log(1)"}, "kiln/fire", "", ""},

		// Code that loads a folder may load every module in it.
		{"a package that loads a folder", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nimport requireAll from 'require-all'\nserve({ client: bus, functions: Object.values(requireAll('jobs')) as any })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "jobs/glaze.ts": "import { bus } from '../client'; export const glaze = bus.createFunction({ id: 'glaze', retries: 0 }, { event: 'x' }, async () => 1)"}, "", "kiln/glaze", "index.ts:4"},
		{"a package that lists files", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nimport glob from 'fast-glob'\nconst mods = await Promise.all(glob.sync('jobs/**/*.ts').map((p) => import(p)))\nserve({ client: bus, functions: mods.flatMap((m: any) => Object.values(m)) as any })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "jobs/glaze.ts": "import { bus } from '../client'; export const glaze = bus.createFunction({ id: 'glaze', retries: 0 }, { event: 'x' }, async () => 1)"}, "", "kiln/glaze", "index.ts:4"},
		{"a loop over files", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nimport { glob } from 'glob'\nconst fns: any[] = []; for (const p of await glob('jobs/*.ts')) fns.push((await import(p)).f)\nserve({ client: bus, functions: fns })", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "jobs/glaze.ts": "import { bus } from '../client'; export const glaze = bus.createFunction({ id: 'glaze', retries: 0 }, { event: 'x' }, async () => 1)"}, "", "kiln/glaze", "index.ts:4"},
		{"a module that loads a folder", map[string]string{"index.ts": "import { serve } from 'inngest/bun'\nimport { bus } from './client'\nconst { loadAll } = require('./loader')\nserve({ client: bus, functions: loadAll() })", "loader.js": "const fs = require('fs'), path = require('path')\nexports.loadAll = () => fs.readdirSync(path.join(__dirname, 'jobs')).map((f) => require(path.join(__dirname, 'jobs', f)).f)", "client.ts": "import { Inngest } from 'inngest'; export const bus = new Inngest({ id: 'kiln' })", "jobs/glaze.ts": "import { bus } from '../client'; export const glaze = bus.createFunction({ id: 'glaze', retries: 0 }, { event: 'x' }, async () => 1)"}, "", "kiln/glaze", "loader.js:2"},

		// The SDK may have other names and other versions.
		{"npm: and a version", map[string]string{"index.ts": "import { Inngest } from 'npm:inngest@3.54.2'\nimport { serve } from 'npm:inngest@3.54.2/edge'\nconst bus = new Inngest({ id: 'kiln' })\nDeno.serve(serve({ client: bus, functions: [bus.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)] }))"}, "kiln/fire", "", ""},
		{"an address", map[string]string{"index.ts": "import { Inngest } from 'https://esm.sh/inngest@3.54.2?target=deno'\nimport { serve } from 'https://esm.sh/inngest@3.54.2/edge'\nconst bus = new Inngest({ id: 'kiln' })\nDeno.serve(serve({ client: bus, functions: [bus.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)] }))"}, "kiln/fire", "", ""},
		{"an import map", map[string]string{"deno.jsonc": "{\n  // the bus\n  \"imports\": {\"bus\": \"npm:inngest@^3\", \"bus/\": \"npm:/inngest@^3/\", \"@/\": \"./src/\",},\n}", "index.ts": "import { serve } from 'bus/edge'\nimport { fire, bus } from '@/fire.ts'\nDeno.serve(serve({ client: bus, functions: [fire] }))", "src/fire.ts": "import { Inngest } from 'bus'\nexport const bus = new Inngest({ id: 'kiln' })\nexport const fire = bus.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)"}, "kiln/fire", "", ""},
		{"an alias in package.json", map[string]string{"package.json": `{"dependencies": {"bus": "npm:inngest@3.54.2"}}`, "index.ts": "import { Inngest } from 'bus'\nconst bus = new Inngest({ id: 'kiln' })\nexport const fire = bus.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)"}, "kiln/fire", "", ""},
		{"SDK 2", map[string]string{"package.json": `{"dependencies": {"inngest": "^2.7.2"}}`, "index.ts": "import { Inngest } from 'inngest'\nimport { serve } from 'inngest/next'\nconst bus = new Inngest({ name: 'My Kiln' })\nconst fire = bus.createFunction({ name: 'Fire It' }, { event: 'x' }, async () => 1)\nexport default serve(bus, [fire])"}, "my-kiln/fire-it", "", ""},
		{"SDK 2 with a name", map[string]string{"package.json": `{"dependencies": {"inngest": "2.7.2"}}`, "index.ts": "import { Inngest } from 'inngest'\nimport { serve } from 'inngest/next'\nconst bus = new Inngest({ name: 'Kiln' })\nconst fire = bus.createFunction('Fire It', 'x', async () => 1)\nexport default serve('Oven', [fire])"}, "oven/fire-it", "", ""},
		{"SDK 2 with a name and options", map[string]string{"package.json": `{"dependencies": {"inngest": "^2.7.0"}}`, "index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nexport default serve('Oven', [fire], { landingPage: false })"}, "oven/fire", "", ""},
		{"SDK 2 with the client's name", map[string]string{"package.json": `{"dependencies": {"inngest": "^2.7.0"}}`, "index.ts": "import { Inngest } from 'inngest'\nimport { serve } from 'inngest/next'\nimport * as all from './fire'\nconst bus = new Inngest({ name: 'My Kiln' })\nexport default serve(bus.name, Object.values(all), { landingPage: true })", "fire.ts": "import { Inngest } from 'inngest'\nexport const fire = new Inngest({ name: 'My Kiln' }).createFunction({ name: 'Fire It' }, { event: 'x' }, async () => 1)"}, "my-kiln/fire-it", "", ""},
		{"SDK 2 with a name that is not known", map[string]string{"package.json": `{"dependencies": {"inngest": "^2.7.0"}}`, "index.ts": "import { serve } from 'inngest/next'\nimport { bus, fire } from './kiln'\nexport default serve(process.env.APP, [fire])"}, "kiln/fire", "", ""},
		{"SDK 2 with the handler class", map[string]string{"package.json": `{"dependencies": {"inngest": "^2.7.0"}}`, "index.ts": "import { InngestCommHandler } from 'inngest'\nimport { bus, fire } from './kiln'\nexport default new InngestCommHandler('own', 'Oven', [fire], {}, () => 1)"}, "oven/fire", "", ""},
		{"CommonJS", map[string]string{"index.cjs": "const { Inngest } = require('inngest')\nconst { serve } = require('inngest/express')\nconst bus = new Inngest({ id: 'kiln' })\nconst fire = bus.createFunction({ id: 'fire' }, { event: 'x' }, async () => 1)\nmodule.exports = { handler: serve({ client: bus, functions: [fire] }) }", "index.ts": "import './index.cjs'"}, "kiln/fire", "", ""},
		{"a scorer", map[string]string{"package.json": `{"dependencies": {"inngest": "^4.13.0"}}`, "index.ts": "import { Inngest } from 'inngest'\nimport { serve } from 'inngest/hono'\nimport { createScorer, createDefer } from 'inngest/experimental'\nconst bus = new Inngest({ id: 'kiln' })\nexport default serve({ client: bus, functions: [createScorer(bus, { id: 'judge' }, async () => null), createDefer(bus, { id: 'later' }, async () => null)] })"}, "kiln/judge kiln/later", "", ""},

		// These are packages of the workspace.
		{"a package that is not built", map[string]string{"package.json": `{"name": "root", "workspaces": ["packages/*"]}`, "index.ts": "export { fire } from '@w/jobs'\nexport * from '@w/jobs/more'",
			"packages/jobs/package.json": `{"name": "@w/jobs", "exports": {".": {"types": "./dist/index.d.ts", "import": "./dist/index.js"}, "./*": "./dist/*.js"}}`, "packages/jobs/src/index.ts": kiln, "packages/jobs/src/more.ts": "import { bus } from './index'; export const glaze = bus.createFunction({ id: 'glaze' }, { event: 'x' }, async () => 1)"},
			"kiln/fire kiln/glaze", "", ""},
		{"a package with main alone", map[string]string{"package.json": `{"name": "root", "workspaces": ["packages/*"]}`, "index.ts": "export { fire } from 'jobs'",
			"packages/jobs/package.json": `{"name": "jobs", "main": "dist/index.js"}`, "packages/jobs/src/index.ts": kiln}, "kiln/fire", "", ""},
		{"a package without sources", map[string]string{"package.json": `{"name": "root", "workspaces": ["packages/*"]}`, "index.ts": "export { glaze } from 'jobs'\nexport { fire } from './kiln'",
			"packages/jobs/package.json": `{"name": "jobs", "main": "dist/index.js"}`}, "kiln/fire", "", "index.ts:1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			files := map[string]string{}
			for name, text := range c.files {
				files[name] = text
				if strings.Contains(text, "/kiln'") {
					files["kiln.ts"] = kiln
				}
			}
			cat := read(t, write(t, files), "index.ts")
			got := cat.Indexes[0]
			if ids := namesOf(got.Functions); ids != c.listed {
				t.Errorf("listed %q, want %q", ids, c.listed)
			}
			if ids := namesOf(got.Candidates); ids != c.perhaps {
				t.Errorf("perhaps %q, want %q", ids, c.perhaps)
			}
			var open []string
			for _, u := range cat.Unresolved {
				open = append(open, fmt.Sprintf("%s:%d", u.File, u.Line))
			}
			if places := strings.Join(open, " "); places != c.open {
				t.Errorf("not determined: %q, want %q\n%s", places, c.open, unresolvedOf(cat))
			}
			if got.Incomplete != (c.open != "") {
				t.Errorf("incomplete: %v", got.Incomplete)
			}
			for _, o := range cat.Orphans {
				t.Errorf("orphan: %s %s:%d", o.ID, o.File, o.Line)
			}
			// Functions that may be registered are checked as well.
			zero := false
			for _, f := range catalog.Check(cat, catalog.CheckOptions{}) {
				zero = zero || f.Code == catalog.CodeZeroRetries
			}
			text := fmt.Sprint(files)
			if want := strings.Contains(c.listed+c.perhaps, "fire") && strings.Contains(text, "id: 'fire', retries: 0") && strings.Contains(text, "./kiln'"); want && !zero {
				t.Error("retries: 0 is not reported")
			}
		})
	}
}

func namesOf(fs []catalog.Function) string {
	var all []string
	for _, f := range fs {
		all = append(all, f.App+"/"+f.ID)
	}
	return strings.Join(all, " ")
}

// TestZeroIsReported: retries: 0 is reported wherever it is written, even if
// the rest of the call cannot be determined.
func TestZeroIsReported(t *testing.T) {
	const head = "import { serve } from 'inngest/bun'\nimport { Inngest } from 'inngest'\nconst bus = new Inngest({ id: 'kiln' })\n"
	const call = ", retries: 0 }, { event: 'x' }, async () => 1)"
	for name, text := range map[string]string{
		"an id that is not known": "const id = process.env.ID!\nserve({ client: bus, functions: [bus.createFunction({ id" + call + "] })",
		"a loop over a map":       "const m = new Map([['k', 1]]); const all: any[] = []; for (const [k] of m)\n  all.push(bus.createFunction({ id: 'cron-' + k" + call + ")\nserve({ client: bus, functions: all })",
		"a callback":              "const all = process.argv.slice(2).map((id) =>\n  bus.createFunction({ id" + call + ")\nserve({ client: bus, functions: all })",
		"a property of a class":   "class Jobs {\n  a = bus.createFunction({ id: 'a'" + call + "\n}\nserve({ client: bus, functions: [new Jobs().a] })",
		"a static property":       "class Jobs {\n  static a = bus.createFunction({ id: 'a'" + call + "\n}\nserve({ client: bus, functions: [Jobs.a] })",
		"a method":                "class Jobs {\n  make() { return bus.createFunction({ id: 'a'" + call + " }\n}\nserve({ client: bus, functions: [new Jobs().make()] })",
		"an id made by a method":  "class Jobs {\n  make(id: string) { return bus.createFunction({ id" + call + " }\n}\nserve({ client: bus, functions: [new Jobs().make('a')] })",
		"a generator":             "function* make() {\n  yield bus.createFunction({ id: 'a'" + call + "\n}\nserve({ client: bus, functions: [...make()] })",
	} {
		t.Run(name, func(t *testing.T) {
			cat := read(t, write(t, map[string]string{"index.ts": head + text}), "index.ts")
			var places []string
			for _, f := range catalog.Check(cat, catalog.CheckOptions{}) {
				switch f.Code {
				case catalog.CodeZeroRetries:
					places = append(places, f.Where)
				case catalog.CodeIDRefused, catalog.CodeOrphan:
					t.Errorf("%s: %s", f.Code, f.What)
				}
			}
			if got := strings.Join(places, " "); got != "index.ts:5" {
				t.Errorf("want retries: 0 to be reported once, got %q", got)
			}
			if !cat.Indexes[0].Incomplete {
				t.Error("the index is complete")
			}
		})
	}
}
