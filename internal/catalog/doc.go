// Package catalog is the list of Inngest functions that a worker image
// registers: checked before the image is built, carried in it, and compared in
// the cluster with what the server knows. Check reports what is wrong with a
// catalog, Encode and Decode put it into an image label, and Diff compares.
//
// Reading it from TypeScript sources is package reader's business, so that
// what only checks, decodes or compares a catalog links neither esbuild nor a
// JavaScript parser.
//
// # To add a check
//
// Give it a code, append it to checks in check.go with its default severity, and give
// it a case in check_test.go. What the server or the SDK does with a function
// is cited from their sources at the check.
package catalog
