package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/units"
)

// Suggestions for the shell's completion: words, some followed by a tab and a
// description. Each of these functions returns what it has found, together with the
// error that kept it from finding more.

// Namespaces returns the names of the cluster's namespaces.
func (t *Target) Namespaces(ctx context.Context) ([]string, error) {
	client, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Namespaces().List(ctx, metav1.ListOptions{Limit: 500})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range list.Items {
		names = append(names, n.Name)
	}
	slices.Sort(names)
	return names, nil
}

// SuggestTags returns the tags that were published from this machine, newest first,
// followed by the other tags in the registry.
func (t *Target) SuggestTags(ctx context.Context, repository string) ([]string, error) {
	tags, err := keptTags(t.Getenv, t.Worker.Name)
	published, perr := t.PublishedTags(ctx, repository)
	for _, one := range published {
		if !hasWord(tags, one) {
			tags = append(tags, one)
		}
	}
	return tags, errors.Join(err, perr)
}

// hasWord reports whether a word is among the suggestions, with or without a
// description.
func hasWord(offered []string, word string) bool {
	return slices.ContainsFunc(offered, func(o string) bool { return o == word || strings.HasPrefix(o, word+"\t") })
}

// keptTags returns the tags in the receipts on this machine, newest first.
func keptTags(getenv func(string) string, name string) ([]string, error) {
	store, err := receipt.Open(getenv)
	if err != nil {
		return nil, err
	}
	receipts, err := store.List(name, 20)
	var tags []string
	for _, r := range receipts {
		if r.Command == "publish" && r.Code == 0 && r.Image.Tag != "" && !hasWord(tags, r.Image.Tag) {
			age := units.Duration(time.Since(r.Started).Round(time.Second))
			tags = append(tags, fmt.Sprintf("%s\tpublished from here %s ago", r.Image.Tag, age))
		}
	}
	return tags, err
}

// SuggestFunctions returns the functions that Inngest has registered for the worker, or
// for every app. If Inngest is not available, it returns those of the last rollout from
// this machine.
func (t *Target) SuggestFunctions(ctx context.Context, o InngestOptions, all bool) (names []string, err error) {
	if names, err = t.registeredFunctions(ctx, o, all); err == nil {
		return names, nil
	}
	store, serr := receipt.Open(t.Getenv)
	if serr != nil {
		return nil, errors.Join(err, serr)
	}
	last, serr := store.Latest(t.Worker.Name, func(r *receipt.Receipt) bool { return len(r.Functions) > 0 })
	if last != nil {
		for _, slug := range last.Functions {
			names = append(names, strings.TrimPrefix(slug, t.Worker.Inngest.App+"-"))
		}
	}
	return names, errors.Join(err, serr)
}

func (t *Target) registeredFunctions(ctx context.Context, o InngestOptions, all bool) (names []string, err error) {
	link, _, err := t.ConnectLive(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, link.Close()) }()
	apps, err := link.Client.Apps(ctx)
	if err != nil {
		return nil, err
	}
	for _, f := range Functions(apps, link.App, "", all, nil) {
		names = append(names, f.LocalID())
	}
	return names, nil
}

// SuggestRevisions returns the revisions that an undo may go back to, with their
// images.
func (t *Target) SuggestRevisions(ctx context.Context) ([]string, error) {
	all, err := t.Revisions(ctx)
	if err != nil {
		return nil, err
	}
	var numbers []string
	for _, r := range all {
		if !r.Current {
			numbers = append(numbers, strconv.FormatInt(r.Number, 10)+"\t"+strings.Join(r.Images, " "))
		}
	}
	return numbers, nil
}
