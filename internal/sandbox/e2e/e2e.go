// Package e2e holds the tests that ship a real worker: gh and kubectl run the
// built plugins, and what is asserted are facts of the registry, the cluster
// and the Inngest server, not printed text.
//
// What a person types is in testdata/script, one file a story (testscript's
// txtar); the commands that look at facts are in facts_test.go. To add a story,
// add a file. Each gets a checkout of its own, in joelclaw, and the cluster to
// itself.
//
// What takes many rollouts (TestFaults, TestKilled, BenchmarkRollout) ships a
// stand-in for the worker instead (internal/sandbox/standin), side by side in
// namespaces of their own: standin_test.go. A way to fail is a row of faults.
package e2e
