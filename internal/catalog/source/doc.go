// Package source finds, resolves, parses and links the modules to which an
// entry module of a TypeScript workspace leads. Create a Program, Add the
// entries, and get each Module.
//
// esbuild's Go API does what a bundler does best: resolution (tsconfig paths,
// package exports, index files, extensions) and removing the types. It does
// not offer a syntax tree, so its output is parsed by tdewolff's JavaScript
// parser, and places are mapped back to the TypeScript file through esbuild's
// source map.
//
// # Decisions
//
// Walking the import graph and parsing are separate. In Load, esbuild walks
// the graph, but for each file it gets only the import specifiers, which a
// small lexer extracts from the raw text (scan.go). So esbuild resolves and
// walks without parsing a single function body. A module is parsed when it is
// requested. Those that mention a word in Options.Words are parsed in advance,
// on all cores, because they will be requested.
//
// Files below node_modules, and packages that are not installed, are external:
// they have a name but are not read. A package of the workspace is found by
// its name even if nothing is installed, and so is a package that package.json
// links to. If its build output is missing, the sources from which it is built
// are used.
//
// The lexer also refuses input that esbuild cannot handle: it recurses without
// a limit, and a stack overflow in Go ends the process (about 10^5 nested
// brackets are enough), and it needs cubic time for nested functions.
package source
