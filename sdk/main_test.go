package raygo_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

// ctx carries the session of all tests: a peer inside this process, and workers
// that are this test binary.
var (
	ctx     context.Context
	session *raygo.Session
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if what := os.Getenv(driverEnv); what != "" {
		raygo.Main(drivers[what], raygo.WithDialer(embedded))
	}
	var err error
	var opts []raygo.InitOption
	if os.Getenv(raygo.AddressEnv) == "" { // set it to test against a peer of its own process
		opts = append(opts, raygo.WithDialer(embedded))
	}
	ctx, session, err = raygo.Init(context.Background(), opts...)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := session.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func embedded(context.Context) (string, func() error, error) {
	n, err := node.New(node.Config{Private: true, CPUs: 2, HTTP: "off", ObjectStoreMemory: 256 << 20, DrainTimeout: time.Second})
	if err != nil {
		return "", nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan node.Ready, 1), make(chan error, 1)
	go func() { ended <- n.Run(run, func(r node.Ready) { ready <- r }) }()
	stop := func() error {
		cancel()
		return <-ended
	}
	select {
	case r := <-ready:
		return r.Socket, stop, nil
	case err := <-ended:
		cancel()
		return "", nil, err
	}
}

// soon bounds a test's waiting.
func soon(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(ctx, 20*time.Second)
	t.Cleanup(cancel)
	return c
}
