// Package catalog is the list of Inngest functions that a worker image
// registers. The list is checked before the image is built, stored in the
// image, and compared in the cluster with what the server has registered.
// Check reports the problems of a catalog, Encode and Decode convert it to and
// from an image label, and Diff compares two catalogs.
//
// Package reader reads a catalog from TypeScript sources. It is separate, so
// that programs that only check, decode or compare catalogs link neither
// esbuild nor a JavaScript parser.
//
// # To add a check
//
// Give it a code, append it to checks in check.go with its default severity,
// and add a case to check_test.go. At the check, cite the source of what the
// server or the SDK does with such a function.
package catalog
