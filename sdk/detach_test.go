package raygo_test

import (
	"context"
	"testing"

	raygo "github.com/raygo/raygo/sdk"
)

// A detached job outlives its driver, and another one goes on with it.
func TestDetachAndAttach(t *testing.T) {
	socket, stop, err := embedded(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stop() }()
	first, s, err := raygo.Init(context.Background(), raygo.Address("unix://"+socket), raygo.Detached(), raygo.JobName("detached"))
	if err != nil {
		t.Fatal(err)
	}
	ref := square.Remote(first, 12)
	if _, err := raygo.Get(first, ref); err != nil {
		t.Fatal(err)
	}
	job, id := s.JobID(), ref.ID()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	second, s, err := raygo.Init(context.Background(), raygo.Address("unix://"+socket), raygo.Attach(job))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.JobID() != job {
		t.Fatalf("attached to job %s, want %s", s.JobID(), job)
	}
	if n, err := raygo.Get(second, raygo.RefOf[int](second, id)); err != nil || n != 144 {
		t.Fatalf("%d, %v", n, err)
	}
	if n, err := raygo.Get(second, square.Remote(second, 13)); err != nil || n != 169 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := raygo.Get(second, raygo.RefOf[int](second, "nonsense")); err == nil {
		t.Fatal("a bad ID is accepted")
	}
}
