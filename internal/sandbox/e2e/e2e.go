// Package e2e holds the tests that ship a real worker: gh and kubectl run the
// built plugins. The tests check facts in the registry, the cluster and the
// Inngest server, not printed text.
//
// The commands that a person types are in testdata/script, one file per story
// (testscript's txtar); the commands that check facts are in facts_test.go. To
// add a story, add a file. Each story has its own checkout, in the namespace
// joelclaw, and no other story uses the cluster at the same time.
//
// Tests that need many rollouts (TestFaults, TestKilled, BenchmarkRollout)
// ship a stand-in for the worker (internal/sandbox/standin) in parallel, each
// in its own namespace; see standin_test.go. To add a kind of failure, add a
// row to faults.
package e2e
