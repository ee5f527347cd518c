package catalog

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// An image carries its catalog as the config label dev.sbw.catalog
// (worker.LabelCatalog), not as a referrer. A label is part of what the digest
// names: it cannot be lost by `crane copy`, a mirror, an OCI layout or a
// retention rule, it is pushed and pulled with the image and costs rollout no
// further request, since the config is read for the platform anyway. A referrer
// needs the referrers API, which ghcr.io does not have, or the tag-schema
// fallback, a second mutable tag that two publishers can race for; its one
// advantage, that it can be added later, is not wanted. What speaks against a
// label, that it shows in `docker inspect` and grows the config, is met by the
// form below: 175 functions take 9 KB.
//
// The form is compact JSON, and beyond plainLimit bytes its gzip in base64
// after the prefix "gz:". It depends on the catalog alone, so that the same
// sources give the same image digest.
const (
	gzipPrefix = "gz:"
	plainLimit = 1 << 10
	// EncodedLimit bounds the label: registries refuse manifests beyond 4 MiB
	// and runtimes keep configs in memory.
	EncodedLimit = 128 << 10
	// decodedLimit bounds what a label may unpack to.
	decodedLimit = 8 << 20
)

// Errors of Encode and Decode, for errors.Is.
var (
	ErrTooLarge = errors.New("the catalog is too large for a label")
	ErrNewer    = errors.New("the catalog was written by a newer version of sbw")
)

// wire is the encoded form. Orphans and candidates are left out: they do not
// concern whoever runs the image.
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

// Encode writes the form that the image carries. The error is ErrTooLarge.
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
	return w
}

// Decode reads what Encode wrote. The error is ErrNewer, or says what is wrong
// with the text.
func Decode(text string) (*Catalog, error) {
	plain, err := unpack(text)
	if err != nil {
		return nil, fmt.Errorf("the image's catalog: %w", err)
	}
	// Of a newer version nothing but its number may be taken for granted.
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
	return f
}
