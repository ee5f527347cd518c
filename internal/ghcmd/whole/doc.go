// Package whole tests a complete `gh sbw publish`: the real gh starts the extension, a real
// builder builds, and the push goes through TLS to a registry that is called ghcr.io. The
// tests assert on the state of the registry, processes and files.
package whole
