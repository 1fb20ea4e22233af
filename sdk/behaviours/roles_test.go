package behaviours

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

// roleEnv makes the test binary something else than the tests: a peer, or a
// driver, of its own process, which a test can kill.
const roleEnv = "BEHAVIOURS_ROLE"

var roles map[string]func()

func init() {
	roles = map[string]func(){
		"peer":   peerRole,
		"driver": func() { raygo.Main(driverRole) },
		"habits": func() { raygo.Main(habitsRole) },
		"reader": readerRole,
	}
}

// peerRole is a private peer with a small store. It serves until SIGTERM, and
// tells where on stdout.
func peerRole() {
	n, err := node.New(node.Config{Private: true, CPUs: 2, HTTP: "off", ObjectStoreMemory: smallStore})
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := n.Run(ctx, func(r node.Ready) { fmt.Println(r.Socket) }); err != nil {
		panic(err)
	}
}

// driverRole fills the store, keeps tasks with children running, and tells the
// processes on stdout.
func driverRole(ctx context.Context) error {
	refs := make([]raygo.Ref[[]byte], 40)
	for i := range refs {
		var err error
		if refs[i], err = raygo.Put(ctx, blobOf(i, 512<<10)); err != nil {
			return err
		}
	}
	pids, err := family(ctx, os.Getenv("BEHAVIOURS_DIR"), 2)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(pids, " "))
	<-ctx.Done()
	runtime.KeepAlive(refs)
	return nil
}

// withChild starts a process that goes on for ever, tells both IDs by a file,
// and waits for its context.
var withChild = raygo.Func1(withChildFn)

func withChildFn(ctx context.Context, path string) (int, error) {
	child := exec.Command("sleep", "100000")
	if err := child.Start(); err != nil {
		return 0, err
	}
	text := fmt.Sprintf("%d %d", os.Getpid(), child.Process.Pid)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		return 0, err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return 0, err
	}
	<-ctx.Done()
	return 0, child.Wait()
}

// family starts n tasks with children and gives the IDs of all processes.
func family(ctx context.Context, dir string, n int) ([]string, error) {
	var pids []string
	for i := range n {
		path := filepath.Join(dir, strconv.Itoa(i))
		ref := withChild.Options(raygo.MaxRetries(0)).Remote(ctx, path)
		if err := awaitPath(ctx, path); err != nil {
			return nil, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		pids = append(pids, strings.Fields(string(text))...)
		_ = ref.ID() // it is found by its ID, and so is kept until here
	}
	return pids, nil
}

// started is the test binary in a role.
type started struct {
	*exec.Cmd
	line string // the first that it wrote
}

// start runs the test binary in a role until it is killed or the test ends.
func start(t *testing.T, role string, env ...string) *started {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(append(os.Environ(), roleEnv+"="+role), env...)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if line = strings.TrimSpace(line); line == "" {
		t.Fatalf("the %s ended before it was ready", role)
	}
	return &started{cmd, line}
}

// kill9 kills it and waits for its end.
func (s *started) kill9(t *testing.T) {
	t.Helper()
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = s.Wait()
}

// attach makes the test a driver of a peer in another process.
func attach(t *testing.T, socket string) (context.Context, *raygo.Session) {
	t.Helper()
	ctx, s, err := raygo.Init(context.Background(), raygo.Address("unix://"+socket))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return ctx, s
}

// alive says whether a process runs; one that has ended and that nobody has
// waited for does not.
func alive(pid string) bool {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, ok := strings.Cut(string(text), ") ")
	return ok && rest[0] != 'Z' && rest[0] != 'X'
}

func gone(t *testing.T, pids []string) {
	t.Helper()
	for _, pid := range pids {
		eventually(t, "process "+pid+" goes", func() bool { return !alive(pid) })
	}
}
