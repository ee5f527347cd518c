// Package whole holds the tests of a whole `gh sbw publish`: the real gh starts
// the extension, a real builder builds, and what is pushed goes through TLS to a
// registry that is called ghcr.io. What is asserted are facts of the registry,
// of processes and of files.
package whole
