//go:build linux

package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox/images"
)

// PauseImage is the name under which the pods' first container is imported.
const PauseImage = "sandbox.invalid/pause:1"

// importPause gives the node the image that every pod begins with.
func (c *Cluster) importPause(ctx context.Context) error {
	out, err := c.Ctr(ctx, "image", "list", "--quiet")
	if err != nil {
		return err
	}
	if strings.Contains(out, PauseImage) {
		return nil
	}
	img, err := images.Program(filepath.Join(c.Bin, "pause"), v1.Config{User: "65535:65535"})
	if err != nil {
		return fmt.Errorf("make the pause image: %w", err)
	}
	tar := c.path("pause.tar")
	if err := images.WriteTar(tar, PauseImage, img); err != nil {
		return err
	}
	return c.Import(ctx, tar)
}
