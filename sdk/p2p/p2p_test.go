package p2p_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
	"github.com/raygo/raygo/sdk/p2p"
)

var doubled = raygo.Func1(double)

func double(_ context.Context, x int) (int, error) { return 2 * x, nil }

func TestMain(m *testing.M) {
	if os.Getenv(raygo.WorkerEnv) != "" {
		_, _, err := raygo.Init(context.Background())
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// config is a small peer whose directory is the test's own.
func config(t *testing.T) p2p.Config {
	t.Helper()
	dir, err := os.MkdirTemp("", "p2p")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return p2p.Config{NumCPUs: 1, ObjectStoreMemory: 64 << 20, DataDir: dir, Socket: filepath.Join(dir, "s")}
}

func call(t *testing.T, o raygo.InitOption) {
	t.Helper()
	ctx, s, err := raygo.Init(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := raygo.Get(ctx, doubled.Remote(ctx, 21))
	if err != nil || got != 42 {
		t.Errorf("got %d, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("close the session: %v", err)
	}
}

func TestAProgramWithItsOwnPeer(t *testing.T) {
	cfg := config(t)
	call(t, p2p.Embedded(cfg))
	if _, err := os.Stat(cfg.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the peer's socket is still there: %v", err)
	}
}

func TestTheZeroConfigIsAPrivatePeer(t *testing.T) {
	dir := config(t).DataDir
	t.Setenv("TMPDIR", dir)
	call(t, p2p.Embedded(p2p.Config{}))
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestConnectToASocket(t *testing.T) {
	p, err := p2p.Start(t.Context(), config(t))
	if err != nil {
		t.Fatal(err)
	}
	call(t, p2p.Connect(p.Address(), p2p.Config{}))
	if err := p.Stop(); err != nil {
		t.Error(err)
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	for _, addr := range []string{"/ip4/192.0.2.1/tcp/4001/p2p/12D3KooW", "peer", ""} {
		_, _, err := raygo.Init(t.Context(), p2p.Connect(addr, p2p.Config{}))
		if err == nil || !strings.Contains(err.Error(), "multiaddr") {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestABadClusterKeyIsRefused(t *testing.T) {
	if _, err := p2p.Start(t.Context(), p2p.Config{ClusterKeyFile: "key"}); !errors.Is(err, node.ErrConfig) {
		t.Errorf("a cluster's key: %v", err)
	}
}

func ExampleEmbedded() {
	run := func(ctx context.Context) error {
		v, err := raygo.Get(ctx, doubled.Remote(ctx, 4))
		fmt.Println(v)
		return err
	}
	raygo.Main(run, p2p.Embedded(p2p.Config{NumCPUs: 2}))
}
