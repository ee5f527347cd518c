package image

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Tag is a tag with what is known of its image.
type Tag struct {
	Tag       string    `json:"tag"`
	Digest    string    `json:"digest"`
	Commit    string    `json:"commit,omitempty"`
	Dirty     bool      `json:"dirty,omitempty"`
	Source    string    `json:"source,omitempty"`
	Created   time.Time `json:"created"`
	Publisher string    `json:"publisher,omitempty"`
	Worker    string    `json:"worker,omitempty"`
	Size      int64     `json:"size"` // bytes, of the first platform
	Platforms []string  `json:"platforms"`
	// Problem says why nothing is known of it: it is no image, or went away.
	Problem string `json:"problem,omitempty"`
}

// ListTags is NewReader and its Tags.
func ListTags(ctx context.Context, repo name.Repository, limit int, o Options) ([]Tag, error) {
	return NewReader(repo, o).Tags(ctx, limit)
}

// byTime are the tags that publish makes of the clock; they sort by age.
var byTime = regexp.MustCompile(`^\d{8}-\d{6}`)

// Tags lists what is published, the newest first. With a limit, of the tags that
// are named by time only that many newest ones are read, and of the others as
// many.
func (r *Reader) Tags(ctx context.Context, limit int) ([]Tag, error) {
	names, err := r.names(ctx)
	if err != nil {
		return nil, r.explain(ctx, registry.Reference{Repository: r.client.Repository()}, err)
	}
	names = newest(names, limit)
	all := make([]Tag, len(names))
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(jobs)
	for i, tag := range names {
		g.Go(func() error {
			img, err := r.Resolve(gctx, registry.Reference{Repository: r.client.Repository(), Tag: tag}, "")
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
	slices.SortStableFunc(all, func(a, b Tag) int {
		return cmp.Or(b.Created.Compare(a.Created), strings.Compare(b.Tag, a.Tag))
	})
	if limit > 0 && len(all) > limit {
		all = all[:limit]
	}
	return all, nil
}

func fact(tag string, img *Image, err error) Tag {
	t := Tag{Tag: tag}
	if err != nil {
		t.Problem = err.Error()
		return t
	}
	t.Digest, t.Commit, t.Dirty, t.Created = img.Digest, img.Commit(), img.Dirty(), img.Created
	t.Publisher, t.Size = img.Publisher(), img.Size
	t.Source, t.Worker = img.Labels[worker.LabelSource], img.Labels[worker.LabelWorker]
	for _, p := range img.Platforms {
		t.Platforms = append(t.Platforms, p.Name)
	}
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

// page is how many tags are asked for at once; maxPages bounds a registry that
// never ends.
const (
	page     = 1000
	maxPages = 100
)

// names lists the tags, of all pages. Tags that stand for attachments by the
// tag schema (sha256-…) are left out.
func (r *Reader) names(ctx context.Context) ([]string, error) {
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
			return nil, errNoManifest
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

// near are up to three tags that may have been meant: those with the longest
// common start, else the last ones.
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
