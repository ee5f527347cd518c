// Makes a worker register: its default export is a handler of inngest/bun, and
// a PUT has the SDK post everything to INNGEST_DEV's /fn/register.
const handler = (await import(process.argv[2]!)).default;
const res = await handler(new Request("http://127.0.0.1:3111/api/inngest", { method: "PUT", headers: { host: "127.0.0.1:3111" } }));
const text = await res.text();
console.log(res.status, text);
process.exit(res.status === 200 ? 0 : 1);
