package checkout

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

// maxStamped limits how many changed files are compared with HEAD. A rollout
// stamps one manifest, or a few with kustomize.
const maxStamped = 20

// onlyStamped reports whether the only difference from HEAD is the image that a
// rollout has written into manifests. paths are files that were modified, but not
// added, deleted or renamed.
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
	// imageLine matches the line of a container's image in a manifest.
	imageLine = lazyregexp.New(`^(\s*(?:-\s+)?image:\s+)(["']?)([^\s"'#]+)(["']?\s*(?:#.*)?)$`)
	// kustomizeLine matches the lines that a stamp changes in an entry of images:.
	kustomizeLine = lazyregexp.New(`^(\s*(?:-\s+)?(?:newName|newTag|digest):\s+)(["']?)([^\s"'#]+)(["']?\s*(?:#.*)?)$`)
	nameLine      = lazyregexp.New(`^\s*(?:-\s+)?(?:name|newName):\s+["']?([^\s"'#]+)`)
)

// stampedOnly reports whether two versions of a file differ only in the tags and
// digests of our images.
func stampedOnly(before, now string, own func(imageref.Repository) bool) bool {
	// Line ends may differ between git's objects and the working tree.
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

// sameEntryLine reports whether two lines of a kustomization differ only by a
// stamp. A newTag or digest counts as a stamp if all images in the same entry are
// ours.
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

// entryAround returns the lines of the list item that contains line i.
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
