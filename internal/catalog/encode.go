package catalog

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An image carries its catalog as the config label dev.sbw.catalog
// (worker.LabelCatalog), not as a referrer. A label is covered by the digest:
// `crane copy`, a mirror, an OCI layout or a retention rule cannot lose it. It
// is pushed and pulled with the image and costs rollout no additional request,
// because rollout reads the config for the platform anyway. A referrer needs
// the referrers API, which ghcr.io does not have, or the tag-schema fallback,
// which is a second mutable tag that two publishers may write at the same
// time. Its only advantage, that it can be added later, is not needed here.
// The disadvantages of a label, that `docker inspect` shows it and that it
// makes the config larger, are small because of the encoding below: 175
// functions take 9 KB, and 17 KB with the ids of their 870 steps.
//
// The form is compact JSON. If that is longer than plainLimit bytes, it is
// gzipped and written in base64 after the prefix "gz:". It depends only on the
// catalog, so that the same sources result in the same image digest.
const (
	gzipPrefix = "gz:"
	plainLimit = 1 << 10
	// EncodedLimit limits the label, because registries refuse manifests of
	// more than 4 MiB and runtimes keep configs in memory.
	EncodedLimit = 128 << 10
	// decodedLimit limits the size of an unpacked label.
	decodedLimit = 8 << 20
)

// These are errors of Encode and Decode, for errors.Is.
var (
	ErrTooLarge = errors.New("the catalog is too large for a label")
	ErrNewer    = errors.New("the catalog was written by a newer version of sbw")
)

// wire is the encoded form. It does not contain orphans and candidates,
// because they do not matter to whoever runs the image.
type wire struct {
	Version    int           `json:"v"`
	Files      []string      `json:"f,omitempty"`
	Indexes    []wireIndex   `json:"i"`
	Unresolved []wireUnknown `json:"u,omitempty"`
}

type wireIndex struct {
	Path       string         `json:"p"`
	Incomplete bool           `json:"x,omitempty"`
	Functions  []wireFunction `json:"n"`
}

type wireFunction struct {
	ID          string            `json:"i"`
	Name        string            `json:"n,omitempty"`
	App         string            `json:"a,omitempty"`
	Retries     *int              `json:"r,omitempty"`
	Triggers    []wireTrigger     `json:"t,omitempty"`
	Concurrency []wireConcurrency `json:"c,omitempty"`
	OnFailure   bool              `json:"o,omitempty"`
	File        int               `json:"f"`
	Line        int               `json:"l"`
	Via         string            `json:"v,omitempty"`
	Undecided   []string          `json:"u,omitempty"`
	Steps       *wireSteps        `json:"s,omitempty"`
}

// wireSteps leaves out why they are open, which only the sources explain.
type wireSteps struct {
	IDs  []wireStep `json:"s,omitempty"`
	Open bool       `json:"x,omitempty"`
}

type wireStep struct {
	Kind string `json:"k,omitempty"` // empty for run
	ID   string `json:"i"`
}

type wireTrigger struct {
	Event      string `json:"e,omitempty"`
	Expression string `json:"x,omitempty"`
	Cron       string `json:"c,omitempty"`
}

type wireConcurrency struct {
	Limit int    `json:"l"`
	Key   string `json:"k,omitempty"`
	Scope string `json:"s,omitempty"`
}

type wireUnknown struct {
	Index string `json:"i,omitempty"`
	File  int    `json:"f"`
	Line  int    `json:"l"`
	What  string `json:"w"`
	Why   string `json:"y"`
}

// Encode returns the form that the image carries. The error is ErrTooLarge.
func Encode(c *Catalog) (string, error) {
	w := wire{Version: Version}
	files := map[string]int{}
	file := func(name string) int {
		n, ok := files[name]
		if !ok {
			n = len(w.Files)
			files[name] = n
			w.Files = append(w.Files, name)
		}
		return n
	}
	for _, i := range c.Indexes {
		out := wireIndex{Path: i.Path, Incomplete: i.Incomplete, Functions: []wireFunction{}}
		for _, f := range i.Functions {
			out.Functions = append(out.Functions, f.wire(file(f.File)))
		}
		w.Indexes = append(w.Indexes, out)
	}
	for _, u := range c.Unresolved {
		w.Unresolved = append(w.Unresolved, wireUnknown{u.Index, file(u.File), u.Line, u.What, u.Why})
	}
	var plain bytes.Buffer
	enc := json.NewEncoder(&plain)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(w); err != nil {
		return "", err
	}
	text := strings.TrimSuffix(plain.String(), "\n")
	if len(text) > plainLimit {
		var err error
		if text, err = compress(text); err != nil {
			return "", err
		}
	}
	if len(text) > EncodedLimit {
		return "", fmt.Errorf("%w: %d KiB, at most %d", ErrTooLarge, len(text)>>10, EncodedLimit>>10)
	}
	return text, nil
}

func compress(text string) (string, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := io.WriteString(z, text); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", err
	}
	return gzipPrefix + base64.StdEncoding.EncodeToString(packed.Bytes()), nil
}

// stepRun is the kind of most steps.
const stepRun = "run"

func (f Function) wire(file int) wireFunction {
	w := wireFunction{
		ID: f.ID, Name: f.Name, App: f.App, OnFailure: f.OnFailure,
		File: file, Line: f.Line, Via: f.Via, Undecided: f.Undecided,
	}
	if f.Retries.Explicit {
		w.Retries = &f.Retries.Value
	}
	for _, t := range f.Triggers {
		w.Triggers = append(w.Triggers, wireTrigger(t))
	}
	for _, c := range f.Concurrency {
		w.Concurrency = append(w.Concurrency, wireConcurrency(c))
	}
	if f.Steps != nil {
		w.Steps = &wireSteps{Open: f.Steps.Open}
		for _, s := range f.Steps.IDs {
			w.Steps.IDs = append(w.Steps.IDs, wireStep{kindOnWire(s.Kind), s.ID})
		}
	}
	return w
}

func kindOnWire(kind string) string {
	if kind == stepRun {
		return ""
	}
	return kind
}

// Decode reads what Encode wrote. The error is ErrNewer, or describes what is
// wrong with the text.
func Decode(text string) (*Catalog, error) {
	plain, err := unpack(text)
	if err != nil {
		return nil, fmt.Errorf("the image's catalog: %w", err)
	}
	// For a newer version, only its number can be relied on.
	var v struct {
		Version int `json:"v"`
	}
	if err := json.Unmarshal(plain, &v); err != nil {
		return nil, fmt.Errorf("the image's catalog: %w", err)
	}
	switch {
	case v.Version > Version:
		return nil, fmt.Errorf("%w (form %d, this one reads %d)", ErrNewer, v.Version, Version)
	case v.Version < 1:
		return nil, errors.New("the image's catalog has no version")
	}
	var w wire
	if err := json.Unmarshal(plain, &w); err != nil {
		return nil, fmt.Errorf("the image's catalog: %w", err)
	}
	file := func(n int) string {
		if n < 0 || n >= len(w.Files) {
			return ""
		}
		return w.Files[n]
	}
	c := &Catalog{Version: Version}
	for _, i := range w.Indexes {
		out := Index{Path: i.Path, Incomplete: i.Incomplete, Functions: []Function{}}
		for _, f := range i.Functions {
			out.Functions = append(out.Functions, f.function(file(f.File)))
		}
		c.Indexes = append(c.Indexes, out)
	}
	for _, u := range w.Unresolved {
		c.Unresolved = append(c.Unresolved, Unresolved{u.Index, file(u.File), u.Line, u.What, u.Why})
	}
	return c, nil
}

func unpack(text string) ([]byte, error) {
	packed, ok := strings.CutPrefix(text, gzipPrefix)
	if !ok {
		return []byte(text), nil
	}
	raw, err := base64.StdEncoding.DecodeString(packed)
	if err != nil {
		return nil, err
	}
	z, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	plain, err := io.ReadAll(io.LimitReader(z, decodedLimit+1))
	if err != nil {
		return nil, err
	}
	if len(plain) > decodedLimit {
		return nil, fmt.Errorf("it unpacks to more than %d MiB", decodedLimit>>20)
	}
	return plain, nil
}

func (w wireFunction) function(file string) Function {
	f := Function{
		ID: w.ID, Name: w.Name, App: w.App, Retries: Retries{Value: DefaultRetries}, OnFailure: w.OnFailure,
		File: file, Line: w.Line, Via: w.Via, Undecided: w.Undecided,
	}
	if w.Retries != nil {
		f.Retries = Retries{Value: *w.Retries, Explicit: true}
	}
	for _, t := range w.Triggers {
		f.Triggers = append(f.Triggers, Trigger(t))
	}
	for _, c := range w.Concurrency {
		f.Concurrency = append(f.Concurrency, Concurrency(c))
	}
	if w.Steps != nil {
		f.Steps = &Steps{IDs: []Step{}, Open: w.Steps.Open}
		for _, s := range w.Steps.IDs {
			f.Steps.IDs = append(f.Steps.IDs, Step{cmp.Or(s.Kind, stepRun), s.ID})
		}
	}
	return f
}
