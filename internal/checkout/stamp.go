package checkout

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// maxStamped limits how many changed files are compared with HEAD: a rollout
// stamps one manifest, or a few with kustomize.
const maxStamped = 20

// onlyStamped reports whether the only difference from HEAD is the image that a
// rollout has written into manifests. paths are files that were modified and
// nothing else.
func (g git) onlyStamped(ctx context.Context, root string, paths []string, own func(imageref.Repository) bool) bool {
	if len(paths) == 0 || len(paths) > maxStamped || own == nil {
		return false
	}
	for _, path := range paths {
		before, err := g.run(ctx, "show", "--no-textconv", "HEAD:"+path)
		if err != nil {
			return false
		}
		now, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil || !stampedOnly(before, string(now), own) {
			return false
		}
	}
	return true
}

var (
	// imageLine is a container's image in a manifest, on one line.
	imageLine = lazyregexp.New(`^(\s*(?:-\s+)?image:\s+)(["']?)([^\s"'#]+)(["']?\s*(?:#.*)?)$`)
	// kustomizeLine is what a stamp changes in an entry of images:.
	kustomizeLine = lazyregexp.New(`^(\s*(?:-\s+)?(?:newName|newTag|digest):\s+)(["']?)([^\s"'#]+)(["']?\s*(?:#.*)?)$`)
	nameLine      = lazyregexp.New(`^\s*(?:-\s+)?(?:name|newName):\s+["']?([^\s"'#]+)`)
)

// stampedOnly reports whether two versions of a file differ only in the tag and
// digest of our images.
func stampedOnly(before, now string, own func(imageref.Repository) bool) bool {
	// Git may store different line ends than the working tree has.
	lines := func(text string) []string { return strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") }
	a, b := lines(before), lines(now)
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		if !sameImageLine(a[i], b[i], own) && !sameEntryLine(a, b, i, own) {
			return false
		}
	}
	return true
}

func sameImageLine(a, b string, own func(imageref.Repository) bool) bool {
	x, y := imageLine.FindStringSubmatch(a), imageLine.FindStringSubmatch(b)
	if x == nil || y == nil || x[1] != y[1] || x[2] != y[2] || x[4] != y[4] {
		return false
	}
	was, is := imageref.Split(x[3]), imageref.Split(y[3])
	return was.Repository == is.Repository && own(is.Repository)
}

// sameEntryLine: newTag and digest of a kustomization count as a stamp if every
// image that the neighbouring lines name is ours.
func sameEntryLine(a, b []string, i int, own func(imageref.Repository) bool) bool {
	x, y := kustomizeLine.FindStringSubmatch(a[i]), kustomizeLine.FindStringSubmatch(b[i])
	if x == nil || y == nil || x[1] != y[1] || x[2] != y[2] || x[4] != y[4] || strings.Contains(x[1], "newName") {
		return false
	}
	named := false
	for _, at := range entryAround(b, i) {
		if m := nameLine.FindStringSubmatch(at); m != nil {
			if !own(imageref.Split(m[1]).Repository) {
				return false
			}
			named = true
		}
	}
	return named
}

// entryAround are the lines of the list item that contains line i.
func entryAround(lines []string, i int) []string {
	first := i
	for first > 0 && !strings.HasPrefix(strings.TrimSpace(lines[first]), "- ") {
		first--
	}
	last := i + 1
	for last < len(lines) && !strings.HasPrefix(strings.TrimSpace(lines[last]), "- ") && strings.HasPrefix(lines[last], " ") {
		last++
	}
	return lines[first:last]
}
