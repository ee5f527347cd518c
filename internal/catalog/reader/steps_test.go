package reader

import (
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/catalog"
)

// stepsOf writes steps as "kind:id", and + for steps that are open.
func stepsOf(s *catalog.Steps) string {
	var all []string
	for _, step := range s.IDs {
		all = append(all, step.Kind+":"+step.ID)
	}
	if s.Open {
		all = append(all, "+")
	}
	return strings.Join(all, " ")
}

// TestSteps reads the steps of one handler, each time with a body that is parsed
// with its module and with one that is long enough to be left out.
func TestSteps(t *testing.T) {
	const head = "import { Inngest } from 'inngest'\nconst bus = new Inngest({ id: 'kiln' })\n"
	for name, c := range map[string]struct {
		// handler is the function that is passed to createFunction; PAD is where a
		// long statement goes. around is what the module has besides.
		handler, around string
		files           map[string]string
		want            string
	}{
		"every tool": {handler: `async ({ event, step, group, logger }) => { PAD
			await step.run('a', async () => 1); await step.sleep("b", '1h'); await step.sleepUntil(` + "`c`" + `, event.data.at)
			await step.waitForEvent('d', { event: 'x', timeout: '1h' }); await step.waitForSignal('e', { signal: 's', timeout: '1h' })
			await step.sendEvent('f', { name: 'y' }); await step.sendSignal('g', { signal: 's' }); await step.invoke('h', { function: other })
			await step.ai.infer('i', { model: step.ai.models.openai({ model: 'm' }), body: {} }); await step.ai.wrap('j', fn, 1)
			await step.realtime.publish('k', topic, {}); await group.experiment('l', { variants: { v: () => step.run('m', fn) }, select })
			await group.parallel(() => Promise.race([step.run('n', fn), step.run('o', fn)])); logger.info('step.run("no")') }`,
			want: "run:a sleep:b sleepUntil:c waitForEvent:d waitForSignal:e sendEvent:f sendSignal:g invoke:h ai.infer:i ai.wrap:j realtime.publish:k group.experiment:l run:m run:n run:o"},
		"no step":                  {handler: `async ({ event }) => { PAD; return event.data }`},
		"no parameter":             {handler: `async () => { PAD; return 1 }`},
		"the same id twice":        {handler: `async ({ step }) => { PAD; await step.run('a', f); for (const x of [1]) await step.run('a', f) }`, want: "run:a"},
		"the context as a whole":   {handler: `async (ctx) => { PAD; await ctx.step.run('a', f); return ctx.event.data }`, want: "run:a"},
		"taken from the context":   {handler: `async (ctx) => { PAD; const { event, step } = ctx; await step.run('a', f); return event }`, want: "run:a"},
		"the rest of the context":  {handler: `async ({ event, ...rest }) => { PAD; await rest.step.run('a', f) }`, want: "run:a"},
		"by another name":          {handler: `async ({ step: tools }) => { PAD; await tools.run('a', f) }`, want: "run:a"},
		"tools by their names":     {handler: `async ({ step }) => { PAD; const { run, sleep } = step; const s = step; await run('a', f); await sleep('b', 1); await s.run('c', f) }`, want: "run:a sleep:b run:c"},
		"tools in the parameters":  {handler: `async ({ step: { run, ai: { wrap } } }) => { PAD; await run('a', f); await wrap('b', f) }`, want: "run:a ai.wrap:b"},
		"another one's step":       {handler: `async ({ step }) => { PAD; await step.run('a', f); const o = { step: 1 }; return [o.step, o?.step] }`, want: "run:a"},
		"a name that hides it":     {handler: `async ({ step }) => { PAD; await step.run('a', f); return [1].map((step) => { PAD; return step.run('b') }) }`, want: "run:a"},
		"an optional call":         {handler: `async ({ step }) => { PAD; await step?.run?.('a', f) }`, want: "run:a"},
		"type arguments":           {handler: `async ({ step }) => { PAD; await step.run<Map<string, { a: 1 }>>('a', f); await step.run<string>('b', f) }`, want: "run:a run:b"},
		"comments and texts":       {handler: "async ({ step }) => { PAD; /* step.run('x') */ // step\n const t = `${await step.run('a', f)} step.run('y')`; return /step.run('z')/ }", want: "run:a"},
		"steps of nested calls":    {handler: `async ({ step }) => { PAD; await Promise.all([step.run('a', () => { PAD; return f() }), inner()]); async function inner() { PAD; return step.run('b', f) } }`, want: "run:a run:b"},
		"an id with options":       {handler: `async ({ step }) => { PAD; await step.run({ id: 'a', name: 'The A' }, f); const id = 'b'; await step.run({ id }, f) }`, want: "run:a run:b"},
		"ids that are constants":   {around: "const IDS = { a: 'first', b: { c: 'second' } } as const\nconst P = 'p'\nenum E { X = 'third' }", handler: "async ({ step }) => { PAD; await step.run(IDS.a, f); await step.run(IDS.b['c'], f); await step.run(`${P}-x`, f); await step.run(P + '-' + 'y', f); await step.run(E.X, f) }", want: "run:first run:second run:p-x run:p-y run:third"},
		"ids of another module":    {around: "import { IDS, only } from './ids'", files: map[string]string{"ids.ts": "export const IDS = { a: 'first' }\nexport const only = 'second'"}, handler: `async ({ step }) => { PAD; await step.run(IDS.a, f); await step.sleep(only, 1) }`, want: "run:first sleep:second"},
		"ids that a factory knows": {around: "const make = (name: string) => async ({ step }: any) => { PAD; await step.run(`${name}-go`, f) }", handler: `make('fire')`, want: "run:fire-go"},
		"an escape":                {handler: `async ({ step }) => { PAD; await step.run('it\'s', f) }`, want: "run:it's"},

		"a function that is passed step":      {around: "const charge = async (s: any, n: number) => { PAD; await s.run('charge', f) }", handler: `async ({ step }) => { PAD; await charge(step, 1) }`, want: "run:charge"},
		"one that is passed an object":        {around: "async function charge({ step, id }: any) { PAD; await step.run('charge', () => id) }", handler: `async ({ event, step }) => { PAD; await charge({ step, id: event.id }) }`, want: "run:charge"},
		"one that is passed the context":      {around: "async function charge(c: any) { PAD; await c.step.run('charge', f) }", handler: `async (ctx) => { PAD; await charge(ctx); await charge({ ...ctx, more: 1 }) }`, want: "run:charge"},
		"one that is passed the id":           {around: "const go = (s: any, id: string) => { PAD; return s.run(`${id}-x`, f) }", handler: `async ({ step }) => { PAD; await go(step, 'a'); await go(step, 'b') }`, want: "run:a-x run:b-x"},
		"one of another module":               {around: "import { charge } from './charge'\nimport * as all from './charge'", files: map[string]string{"charge.ts": "import { deeper } from './deeper'\nexport async function charge(step: any) { PAD; await step.run('charge', () => 1); await deeper(step) }", "deeper.ts": "export const deeper = (step: any) => step.sleep('deep', 1)"}, handler: `async ({ step }) => { PAD; await charge(step); await all.charge(step) }`, want: "run:charge sleep:deep"},
		"one in the handler":                  {handler: `async ({ step }) => { PAD; const go = async (id: string) => { PAD; return step.run('go-' + id, f) }; await go('a'); await go('b') }`, want: "run:go-a run:go-b"},
		"one in the handler with step":        {handler: `async ({ step }) => { PAD; const go = async (s: any) => s.run('a', f); await go(step) }`, want: "run:a"},
		"one that calls back":                 {around: "async function twice(s: any, cb: any) { PAD; await cb(s) }", handler: `async ({ step }) => { PAD; await twice(step, (s: any) => s.run('a', f)) }`, want: "run:a"},
		"one that calls itself":               {around: "async function loop(s: any, n: number) { PAD; await s.run('a', f); if (n) await loop(s, n - 1) }", handler: `async ({ step }) => { PAD; await loop(step, 3) }`, want: "run:a"},
		"a wrapper":                           {around: "const logged = (fn: any) => async (ctx: any) => { PAD; console.log('start'); return fn(ctx) }", handler: `logged(async ({ step }: any) => { PAD; await step.run('a', f) })`, want: "run:a"},
		"a wrapper of any arguments":          {around: "const logged = (fn: any) => async (...args: any[]) => { PAD; return fn(...args) }", handler: `logged(async ({ step }: any) => { PAD; await step.run('a', f) })`, want: "run:a"},
		"a wrapper that adds":                 {around: "const withDB = (fn: any) => async ({ step, event }: any) => { PAD; const db = await step.run('db', f); return fn({ step, event, db }) }", handler: `withDB(async ({ step, db }: any) => { PAD; await step.run('a', () => db) })`, want: "run:db run:a"},
		"a function that is passed a tool":    {around: "const go = (run: any) => { PAD; return run('a', f) }", handler: `async ({ step }) => { PAD; await go(step.run) }`, want: "run:a"},
		"a handler that is a declaration":     {around: "async function handle({ step }: any) { PAD; await step.run('a', f) }", handler: `handle`, want: "run:a"},
		"an object of tools":                  {handler: `async ({ step }) => { PAD; const kit = { step, n: 1, go: () => step.run('b', f) }; await kit.step.run('a', f) }`, want: "run:b run:a"},
		"a constant that hides the parameter": {around: "const id = 'outer'", handler: `async ({ step, event: { id } }) => { PAD; await step.run(id, f) }`, want: "+"},

		"the arguments":                  {handler: `async function () { PAD; await arguments[0].step.run('a', f) }`, want: "+"},
		"the arguments of another":       {around: "async function go() { PAD; await arguments[0].run('a', f) }", handler: `async ({ step }) => { PAD; await go(step) }`, want: "+"},
		"a caught step":                  {handler: `async ({ step }) => { PAD; try { await step.run('a', f) } catch (step) { step.run('b') } step: for (;;) break step }`, want: "run:a"},
		"lines and comments between":     {handler: "async ({ step }) => { PAD; await step\n  .run('a', f); await step /* x */ . /* y */ run /* z */ ( /* q */ 'b', f) }", want: "run:a run:b"},
		"a function called step":         {handler: `async (ctx) => { PAD; function step(id: string) { return ctx.step.run(id, f) } await step('a'); await step('b') }`, want: "run:a run:b"},
		"a member by its name":           {handler: `async (ctx) => { PAD; await ctx['step']['run']('a', f) }`, want: "run:a"},
		"by reflection":                  {handler: `async (ctx) => { PAD; await Reflect.get(ctx, 'step').run('a', f) }`, want: "+"},
		"a promise of the context":       {handler: `async (ctx) => { PAD; const { step } = await Promise.resolve(ctx); await step.run('a', f) }`, want: "+"},
		"a default of a parameter":       {handler: `async ({ step }, run = step.run) => { PAD; await step.run('a', f) }`, want: "run:a +"},
		"a getter":                       {handler: `async ({ step }) => { PAD; const o = { get it() { PAD; return step.run('a', f) } }; await o.it }`, want: "run:a"},
		"a class in the handler":         {handler: `async ({ step }) => { PAD; class Job { x = step.run('a', f); go() { PAD; return step.run('b', f) } } new Job().go() }`, want: "run:a run:b"},
		"a condition":                    {handler: `async ({ step, event }) => { PAD; await (event.x ? step.run('a', f) : step.sleep('b', 1)); const s = event.x ? step : null; await s?.run('c', f) }`, want: "run:a sleep:b +"},
		"a switch":                       {handler: `async ({ step, event }) => { PAD; switch (event.x) { case 1: { const id = 'a'; await step.run(id, f); break } default: await step.run('b', f) } }`, want: "run:a run:b"},
		"an id of the event":             {handler: "async ({ event, step }) => { PAD; await step.run('a', f); await step.run(`b-${event.data.id}`, f) }", want: "run:a +"},
		"an id in a loop":                {handler: "async ({ step }) => { PAD; for (const x of list) { await step.run(`item-${x}`, f) } }", want: "+"},
		"an id that changes":             {around: "let n = 'a'; export function next() { n = 'b' }", handler: "async ({ step }) => { PAD; await step.run(n, f) }", want: "+"},
		"an id that is assigned":         {handler: "async ({ step }) => { PAD; let id = 'a'; if (list) id = 'b'; await step.run(id, f) }", want: "+"},
		"an id that is called for":       {around: "const id = () => 'a'", handler: "async ({ step }) => { PAD; await step.run(id(), f) }", want: "+"},
		"options that are spread":        {handler: "async ({ step }) => { PAD; await step.run({ ...list, id: 'a' }, f) }", want: "+"},
		"step for a package":             {around: "import { work } from 'elsewhere'", handler: `async ({ step }) => { PAD; await step.run('a', f); await work(step) }`, want: "run:a +"},
		"step for a method":              {around: "class Jobs { go(s: any) { return s.run('a') } }\nconst jobs = new Jobs()", handler: `async ({ step }) => { PAD; await jobs.go(step) }`, want: "+"},
		"step for a constructor":         {around: "class Jobs { constructor(s: any) {} }", handler: `async ({ step }) => { PAD; new Jobs(step) }`, want: "+"},
		"step kept in a variable":        {around: "let kept: any", handler: `async ({ step }) => { PAD; kept = step; await step.run('a', f) }`, want: "run:a +"},
		"step returned":                  {around: "async function get(ctx: any) { PAD; return ctx.step }", handler: `async (ctx) => { PAD; const s = await get(ctx); await s.run('a', f) }`, want: "+"},
		"step in a list":                 {handler: `async ({ step }) => { PAD; await Promise.all([step].map((s) => s.run('a', f))) }`, want: "+"},
		"a tool that is chosen":          {handler: `async ({ step }) => { PAD; await step[list ? 'run' : 'sleep']('a', f) }`, want: "+"},
		"a tool that is bound":           {handler: `async ({ step }) => { PAD; const run = step.run.bind(step); await run('a', f) }`, want: "+"},
		"a tool that is not known":       {handler: `async ({ step }) => { PAD; await step.later('a', f) }`, want: "+"},
		"fetch":                          {handler: `async ({ step }) => { PAD; await step.fetch('https://kiln.example') }`, want: "+"},
		"what a middleware adds":         {around: "import { InngestMiddleware } from 'inngest'\nexport const mw = new InngestMiddleware({ name: 'm', init: () => ({ onFunctionRun: () => ({ transformInput: () => ({ ctx: { db: 1 } }), // no step\n transformOutput: ({ step }: any) => step }) }) })", handler: `async ({ step, db, clock: { now } }) => { PAD; await db.find(now()); await step.run('a', () => db.find()) }`, want: "run:a"},
		"step passed to what it adds":    {handler: `async ({ step, db }) => { PAD; await db.find(step) }`, want: "+"},
		"a middleware that wraps step":   {around: "import { InngestMiddleware } from 'inngest'\nexport const mw = new InngestMiddleware({ name: 'm', init: () => ({ onFunctionRun: () => ({ transformInput: ({ ctx }: any) => ({ ctx: { once: (id: string) => ctx.step.run(id, () => 1) } }) }) }) })", handler: `async ({ step, once }) => { PAD; await step.run('a', f); await once('b') }`, want: "run:a +"},
		"a package of another's":         {around: "import { track } from 'inngest-tracker'", handler: `async ({ step }) => { PAD; await step.run('a', f); await track() }`, want: "run:a +"},
		"what publishes":                 {handler: `async ({ step, publish }) => { PAD; await step.run('a', f); await publish(list) }`, want: "run:a +"},
		"a handler of a package":         {around: "import { wrap } from 'elsewhere'", handler: `wrap(async ({ step }: any) => { PAD; await step.run('a', f) })`, want: "+"},
		"a handler of a class":           {around: "class Job { async run({ step }: any) { PAD; await step.run('a', f) } }\nconst job = new Job()", handler: `job.run`, want: "+"},
		"the SDK's own step":             {around: "import { step as now } from 'inngest'\nasync function deep() { PAD; await now.run('b', f) }", handler: `async ({ step }) => { PAD; await step.run('a', f); await deep() }`, want: "run:a +"},
		"the SDK's own step elsewhere":   {around: "import { deep } from './deep'", files: map[string]string{"deep.ts": "import { step } from 'inngest'\nexport const deep = () => step.run('b', () => 1)"}, handler: `async ({ step }) => { PAD; await step.run('a', f); await deep() }`, want: "run:a +"},
		"a package that makes steps":     {around: "import { createAgent } from '@inngest/agent-kit'\nconst agent = createAgent({})", handler: `async ({ step }) => { PAD; await step.run('a', f); await agent.run('x') }`, want: "run:a +"},
		"a middleware that changes ids":  {around: "export class Own { transformStepInput(arg: any) { return { ...arg, id: 'x' } } }", handler: `async ({ step }) => { PAD; await step.run('a', f) }`, want: "run:a +"},
		"a text that the lexer mistakes": {handler: "async ({ step }) => { PAD; if (list) /`/.test('x'); await step.run('a', f) }", want: "run:a"},
	} {
		for pad, text := range map[string]string{"short": "", "long": "console.log(" + longText + ")"} {
			t.Run(name+"/"+pad, func(t *testing.T) {
				fill := strings.NewReplacer("PAD;", text+";", "PAD", text+";")
				files := map[string]string{"index.ts": fill.Replace(head + c.around + "\ndeclare const f: any, fn: any, list: any, other: any, topic: any, select: any\nexport const fire = bus.createFunction({ id: 'fire' }, { event: 'x' }, " + c.handler + ")")}
				for file, content := range c.files {
					files[file] = fill.Replace(content)
				}
				cat := read(t, write(t, files), "index.ts")
				if len(cat.Indexes[0].Functions) != 1 {
					t.Fatalf("functions: %v", cat.Indexes[0].Functions)
				}
				steps := cat.Indexes[0].Functions[0].Steps
				if got := stepsOf(steps); got != c.want {
					t.Errorf("steps %q, want %q (%s)", got, c.want, steps.Why)
				}
				if steps.Open != (steps.Why != "") {
					t.Errorf("open %v, because %q", steps.Open, steps.Why)
				}
			})
		}
	}
}
