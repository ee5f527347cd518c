// Package catalog says, from the TypeScript sources alone, which Inngest
// functions a worker will register: their ids, triggers and retries, and where
// each is written.
package catalog
