package image

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Tag is a tag and what is known about its image.
type Tag struct {
	Tag       string    `json:"tag"`
	Digest    string    `json:"digest"`
	Commit    string    `json:"commit,omitempty"`
	Dirty     bool      `json:"dirty,omitempty"`
	Source    string    `json:"source,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	Publisher string    `json:"publisher,omitempty"`
	Worker    string    `json:"worker,omitempty"`
	Size      int64     `json:"size"` // bytes, of the first platform
	Platforms []string  `json:"platforms"`
	// Problem says why nothing is known about the image, for example because it is
	// not an image or was deleted.
	Problem string `json:"problem,omitempty"`
}

// ListOptions limit a list of tags.
type ListOptions struct {
	// Limit is how many of the newest tags to list; 0 means all.
	Limit int
	// CacheDir stores configs between runs. If it is empty, they are not stored.
	CacheDir string
}

// byTime matches the tags that publish derives from the clock. Their order is
// that of their age.
var byTime = lazyregexp.New(`^\d{8}-\d{6}`)

// List returns the published tags, newest first. With a limit, it reads only that
// many of the newest time-based tags, and as many of the others. Errors are those
// of Resolve; a problem with a single tag is reported in its Problem.
func List(ctx context.Context, c *registry.Client, o ListOptions) ([]Tag, error) {
	r := newReader(c, o.CacheDir)
	names, err := r.names(ctx)
	if registry.IsNotFound(err) {
		return nil, nil // a package to which nobody has published yet
	}
	if err != nil {
		return nil, r.refused(ctx, "the tags of "+c.Repository().String(), err)
	}
	names = newest(names, o.Limit)
	all := make([]Tag, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for i, tag := range names {
		g.Go(func() error {
			img, err := r.resolve(gctx, tag)
			if gctx.Err() != nil {
				return context.Cause(gctx)
			}
			all[i] = fact(tag, img, err)
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	sort.SliceStable(all, func(i, j int) bool {
		a, b := &all[i], &all[j]
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.Tag, a.Tag)) < 0
	})
	if o.Limit > 0 && len(all) > o.Limit {
		all = all[:o.Limit]
	}
	return all, nil
}

func fact(tag string, img *Image, err error) Tag {
	t := Tag{Tag: tag}
	if err != nil {
		t.Problem = err.Error()
		return t
	}
	t.Digest, t.Created, t.Platforms, t.Size = img.Digest, img.Created(), img.Platforms(), img.Variants[0].Size
	t.Commit, t.Dirty, t.Source = img.Label(worker.LabelRevision), img.Label(worker.LabelDirty) == "true", img.Label(worker.LabelSource)
	t.Publisher, t.Worker = img.Label(worker.LabelPublisher), img.Label(worker.LabelWorker)
	return t
}

func newest(names []string, limit int) []string {
	if limit <= 0 {
		return names
	}
	var timed, other []string
	for _, n := range names {
		if byTime.MatchString(n) {
			timed = append(timed, n)
		} else {
			other = append(other, n)
		}
	}
	slices.Sort(timed)
	slices.Sort(other)
	last := func(all []string) []string { return all[max(0, len(all)-limit):] }
	kept := append(last(timed), last(other)...)
	if slices.Contains(other, "latest") && !slices.Contains(kept, "latest") {
		kept = append(kept, "latest")
	}
	return kept
}

// Names returns only the names of the tags: first the time-based ones, newest
// first, then the others. Errors are those of the registry.
func Names(ctx context.Context, c *registry.Client) ([]string, error) {
	names, err := newReader(c, "").names(ctx)
	slices.SortStableFunc(names, func(a, b string) int {
		at, bt := byTime.MatchString(a), byTime.MatchString(b)
		switch {
		case at && bt:
			return strings.Compare(b, a)
		case at:
			return -1
		case bt:
			return 1
		}
		return 0
	})
	return names, err
}

// page is how many tags are requested at once. maxPages guards against a registry
// that always names another page.
const (
	page     = 1000
	maxPages = 100
)

// names returns the tags of all pages, without those of attached artifacts
// (sha256-…).
func (r *reader) names(ctx context.Context) ([]string, error) {
	var all []string
	next, query := "tags/list", url.Values{"n": {strconv.Itoa(page)}}
	for range maxPages {
		res, err := r.client.Do(ctx, registry.Request{Method: http.MethodGet, Kind: "tags", Path: next, Query: query})
		if err != nil {
			return nil, err
		}
		var list struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(res.Body, &list); err != nil {
			return nil, errContent
		}
		for _, t := range list.Tags {
			if !strings.HasPrefix(t, "sha256-") {
				all = append(all, t)
			}
		}
		next, query = nextPage(res.Header.Get("Link")), nil
		if next == "" || len(list.Tags) == 0 {
			break
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// nextPage reads a Link header (RFC 8288) for rel="next".
func nextPage(link string) string {
	for part := range strings.SplitSeq(link, ",") {
		target, params, ok := strings.Cut(strings.TrimSpace(part), ">")
		if ok && strings.HasPrefix(target, "<") && strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			return target[1:]
		}
	}
	return ""
}

// near returns up to three tags that may have been meant: those with the longest
// common prefix, or else the last ones.
func near(want string, tags []string) []string {
	sorted := slices.Clone(tags)
	slices.SortStableFunc(sorted, func(a, b string) int {
		return cmp.Or(cmp.Compare(common(b, want), common(a, want)), strings.Compare(b, a))
	})
	return sorted[:min(3, len(sorted))]
}

func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
