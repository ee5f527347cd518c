package controlplane_test

import (
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/controlplane/cptest"
)

func TestStartAndRestart(t *testing.T) {
	cp := cptest.Start(t, cptest.Options(t))
	kube := cptest.Kube(t, cp)
	if _, err := kube.Discovery().ServerVersion(); err != nil {
		t.Fatal(err)
	}
	cp.StopAPIServer()
	if _, err := kube.Discovery().ServerVersion(); err == nil {
		t.Fatal("the stopped API server still answers")
	}
	if err := cp.StartAPIServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := kube.Discovery().ServerVersion(); err != nil {
		t.Fatal(err)
	}
}
