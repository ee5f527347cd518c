package build

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMadeBy(t *testing.T) {
	text := `FROM node AS deps
COPY package.json ./
RUN pnpm install
FROM node AS base
RUN apk add curl
FROM base AS app
WORKDIR /app
COPY --from=deps /app/node_modules ./node_modules
COPY packages/a packages/b ./packages/
RUN --mount=type=cache,target=/x pnpm build \
  --all
RUN ["node", "x.js"]
COPY $WHAT /y
FROM node AS other
COPY . .
`
	req := Request{Dockerfile: filepath.Join(t.TempDir(), "Dockerfile"), Target: "app"}
	if err := os.WriteFile(req.Dockerfile, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		said string
		line string
		own  bool
	}{
		{"COPY /app/node_modules ./node_modules # buildkit", "8", false},
		{"COPY packages/a packages/b ./packages/ # buildkit", "9", true},
		{"RUN |1 A=1 /bin/sh -c pnpm build   --all # buildkit", "10", false},
		{"/bin/sh -c pnpm build --all", "10", false},
		{"RUN node x.js # buildkit", "12", false},
		{"RUN /bin/sh -c apk add curl # buildkit", "5", false},
		{"WORKDIR /app", "7", false},
		{"COPY . . # buildkit", "", false},
		{"COPY z /y # buildkit", "", false},
		{"RUN /bin/sh -c apt-get update # buildkit", "", false},
		{"", "", false},
	} {
		where, own := MadeBy(req, tt.said)
		if _, line, _ := strings.Cut(where, "Dockerfile:"); line != tt.line || own != tt.own {
			t.Errorf("%s: %q, %v, want line %s, %v", tt.said, where, own, tt.line, tt.own)
		}
	}
}

func TestUncompressed(t *testing.T) {
	got := ociOutput(Request{LayoutDir: "/l", Uncompressed: true})
	if want := "type=oci,tar=false,dest=/l,compression=uncompressed"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
