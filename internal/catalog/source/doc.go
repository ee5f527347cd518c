// Package source finds, resolves, parses and links the modules that an entry
// module of a TypeScript workspace leads to. Make a Program, Add the entries,
// and ask for each Module.
//
// esbuild's Go API does what a bundler does best: resolution (tsconfig paths,
// package exports, index files, extensions) and taking the types out. It has no
// syntax tree to offer, so what it prints is parsed by tdewolff's JavaScript
// parser, and places are taken back to the TypeScript through esbuild's source
// map.
//
// # Decisions
//
// The walk over the import graph and the parsing are apart. Load has esbuild
// walk the graph, but hands it for each file only that file's import
// specifiers, which a small lexer takes from the raw text (scan.go): esbuild
// then resolves and walks without parsing a single function body. A module is
// parsed when it is asked for; those that mention a word of Options.Words
// are parsed at once, on all cores, because they will be.
//
// Files below node_modules, and packages that are not there, are external:
// they are named, not read. A package of the workspace is found by its name
// even where nothing is installed, and so is one that package.json links to; if
// its build output is missing, by the sources that it is built from.
//
// The lexer also refuses what esbuild cannot survive: it recurses without a
// limit, and a Go stack that overflows ends the process (some 10^5 nested
// brackets suffice), and it takes cubic time over nested functions.
package source
