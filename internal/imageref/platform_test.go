package imageref

import (
	"errors"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func TestParsePlatform(t *testing.T) {
	for in, want := range map[string]string{
		"linux/arm64": "linux/arm64", "linux/arm64/v8": "linux/arm64", "linux/amd64": "linux/amd64", "linux/amd64/v3": "linux/amd64/v3",
		"linux/arm/v7": "linux/arm/v7", "linux/arm": "linux/arm/v7", "linux/arm/v6": "linux/arm/v6", "linux/aarch64": "linux/arm64", "linux/x86_64": "linux/amd64",
		"linux/riscv64": "linux/riscv64", "linux/s390x": "linux/s390x", "windows/amd64": "windows/amd64", "linux/arm64/8": "linux/arm64",
		"linux/armhf": "linux/arm/v7",
	} {
		if p, err := ParsePlatform(in); err != nil || p.String() != want {
			t.Errorf("%q: %v, %v; want %s", in, p, err, want)
		}
	}
	for in, fix := range map[string]string{
		"linux/riscv": "linux/riscv64", "linux/arm46": "linux/arm64", "linux/amd46": "linux/amd64", "linus/arm64": "linux/arm64",
		"linux/amd64/v8": "v1, v2", "linux/arm64/v80": "v8", "arm64": "linux/arm64", "Linux/ARM64": "linux/arm64", "linux": "linux/arm64",
		"linux/": "linux/arm64", "/arm64": "linux/arm64", "": "linux/arm64", "linux/arm64/v8/x": "linux/arm64", "linux/arm64 ": "linux/arm64",
		"linux arm64": "linux/arm64", "linux/arm64,linux/amd64": "linux/arm64", "linux/sparc": "linux/arm64", "linux/cray-1": "linux/arm64",
	} {
		p, err := ParsePlatform(in)
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != pipeline.CodeUsage || f.End != pipeline.Usage || !strings.Contains(f.Fix, fix) {
			t.Errorf("%q: %v, %v; want a remedy with %q", in, p, err, fix)
		}
	}
}

func TestSplitPlatform(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"linux/arm64", "linux/arm64", true},
		{"linux/arm64", "linux/arm64/v8", true},
		{"linux/arm64", "linux/arm64/", true},
		{"linux/arm64", "arm64", true},
		{"linux/aarch64", "linux/arm64", true},
		{"linux/amd64/v1", "linux/x86_64", true},
		{"linux/arm/v7", "linux/arm", true},
		{"linux/armhf", "linux/arm/v7", true},
		{"linux/amd64/v3", "linux/amd64", false},
		{"linux/arm/v7", "linux/arm/v6", false},
		{"linux/arm64", "linux/amd64", false},
		{"windows/amd64", "linux/amd64", false},
		{"Linux/ARM64 ", "linux/arm64", true},
		{"", "linux/arm64", false},
	} {
		if got := SplitPlatform(c.a) == SplitPlatform(c.b); got != c.same {
			t.Errorf("%q and %q are the same: %t, want %t", c.a, c.b, got, c.same)
		}
	}
}

func TestPlatformOf(t *testing.T) {
	for want, in := range map[string][3]string{
		"": {}, "linux/arm64": {"linux", "arm64", "v8"}, "linux/arm/v6": {"linux", "arm", "v6"}, "windows/amd64": {"windows", "amd64", ""},
	} {
		if got := PlatformOf(in[0], in[1], in[2]).String(); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestRuns(t *testing.T) {
	for _, c := range []struct {
		node, image string
		want        bool
	}{
		{"linux/arm64", "linux/arm64", true}, {"linux/arm64", "linux/arm/v7", true}, {"linux/arm64", "linux/arm64/v9", true},
		{"linux/amd64", "linux/386", true}, {"linux/amd64", "linux/amd64/v3", true}, {"linux/amd64", "linux/arm64", false},
		{"linux/arm", "linux/arm64", false}, {"windows/amd64", "linux/amd64", false}, {"linux/arm64", "", false},
	} {
		if got := SplitPlatform(c.node).Runs(SplitPlatform(c.image)); got != c.want {
			t.Errorf("%s runs %s: %t, want %t", c.node, c.image, got, c.want)
		}
	}
}

func FuzzPlatform(f *testing.F) {
	for _, s := range []string{"linux/arm64", "linux/arm/v7", "linux/armhf/v6", "x86_64", "a/b/c/d", "/", "linux/arm64/8"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p := SplitPlatform(s)
		if again := SplitPlatform(p.String()); again != p {
			t.Fatalf("%q: %+v, and again %+v", s, p, again)
		}
		if q, err := ParsePlatform(s); err == nil && (q != p || !q.known()) {
			t.Fatalf("%q: parsed %+v, split %+v", s, q, p)
		}
	})
}
