package ghcmd

import (
	"fmt"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// namedParts is how many parts of an image a dry run names.
const namedParts = 8

// planned tells what a push would do, a line for what is sent and one for each
// tag.
func planned(p *push.Plan) []string {
	var parts []string
	for _, b := range p.Blobs {
		if !b.Exists {
			parts = append(parts, b.Name+" ("+ui.FormatBytes(b.Size)+")")
		}
	}
	first := "nothing would be sent: all parts are there"
	if n := len(parts); n > 0 {
		if n > namedParts {
			parts = append(parts[:namedParts], fmt.Sprintf("and %d more", n-namedParts))
		}
		first = fmt.Sprintf("would send %s in %d of %d parts: %s", ui.FormatBytes(p.Bytes), n, len(p.Blobs), strings.Join(parts, ", "))
	}
	lines := []string{first}
	for _, t := range p.Tags {
		name := p.Repository + ":" + t.Tag
		switch t.Now {
		case "":
			lines = append(lines, name+" would be new")
		case p.Digest:
			lines = append(lines, name+" is this image already")
		default:
			lines = append(lines, name+" would be moved, from "+t.Now)
		}
	}
	return lines
}
