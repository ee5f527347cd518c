package reader

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

func TestTry(t *testing.T) {
	root := os.Getenv("R")
	if root == "" {
		root = "/tmp/catalog-real"
	}
	s := time.Now()
	c, err := Read(context.Background(), Options{Root: root, Indexes: []string{"packages/system-bus/src/inngest/functions/index.cluster.ts", "packages/system-bus/src/inngest/functions/index.host.ts"}})
	fmt.Println(time.Since(s), err)
	b, _ := json.MarshalIndent(c, "", " ")
	os.WriteFile("/tmp/cat.json", b, 0o644)
	for _, i := range c.Indexes {
		fmt.Println(i.Path, len(i.Functions), i.Incomplete)
	}
	for _, u := range c.Unresolved {
		fmt.Println("U", u)
	}
	for _, u := range c.Orphans {
		fmt.Printf("O %+v\n", u)
	}
}
