//go:build linux

package cluster

import (
	"context"
	"fmt"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/sandbox/images"
)

// PauseImage is the name of the image that the first container of every pod
// runs.
const PauseImage = "sandbox.invalid/pause:1"

// importPause imports the image of every pod's first container into the node.
func (c *Cluster) importPause(ctx context.Context) error {
	if has, err := c.HasImage(ctx, PauseImage); err != nil || has {
		return err
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
