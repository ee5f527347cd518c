package ports

import (
	"fmt"
	"net"
	"testing"
)

func TestReserve(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		p, err := Reserve()
		if err != nil {
			t.Fatal(err)
		}
		defer p.Release()
		if seen[p.Number] {
			t.Errorf("port %d is reserved twice", p.Number)
		}
		seen[p.Number] = true
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p.Number))
		if err != nil {
			t.Errorf("the reserved port cannot be used: %v", err)
			continue
		}
		defer l.Close()
	}
}
