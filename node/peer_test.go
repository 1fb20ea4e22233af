package node

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	raygo "github.com/raygo/raygo"
	"github.com/raygo/raygo/sdk/ipc"
)

// startPeer runs a private peer until the test ends.
func startPeer(t *testing.T, cfg Config) Ready {
	t.Helper()
	cfg.Private, cfg.CPUs, cfg.HTTP = true, 1, "off"
	n, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan Ready, 1), make(chan error, 1)
	go func() { ended <- n.Run(ctx, func(r Ready) { ready <- r }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the peer ended with: %v", err)
		}
		if _, err := os.Stat(n.dir.path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the private directory is still there: %v", err)
		}
	})
	return <-ready
}

func dial(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func join(t *testing.T, socket string, role ipc.Role) (*ipc.Conn, *ipc.Welcome) {
	t.Helper()
	conn := ipc.NewConn(dial(t, socket), 0)
	t.Cleanup(func() { _ = conn.Close() })
	w, arena, err := conn.Handshake(t.Context(), &ipc.Hello{Role: role, PID: os.Getpid(), Program: "test"})
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	if arena != nil {
		t.Cleanup(func() { _ = arena.Close() })
	}
	return conn, w
}

// refusal reads until the peer says why it hangs up.
func refusal(t *testing.T, conn *ipc.Conn) *raygo.Failure {
	t.Helper()
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		typ, p, err := conn.Read()
		if err != nil {
			t.Fatalf("the connection ended without a refusal: %v", err)
		}
		if typ == ipc.TypeRefused {
			var f raygo.Failure
			if err := ipc.Unmarshal(p, &f); err != nil {
				t.Fatal(err)
			}
			return &f
		}
	}
}

// Whoever sends rubbish is told and cut off; everybody else goes on.
func TestBadFramesHurtOnlyTheirSender(t *testing.T) {
	r := startPeer(t, Config{})
	good, w := join(t, r.Socket, ipc.RoleDriver)
	task := raygo.NewTaskID(w.Job, w.Proc, 1)
	other := raygo.NewTaskID(raygo.NewJobID(), w.Proc, 1)
	frame := func(typ ipc.Type, p []byte) []byte { b, at := ipc.Begin(nil, typ); return ipc.End(append(b, p...), at) }
	for name, b := range map[string][]byte{
		"length zero":          {0, 0, 0, 0},
		"oversized":            binary.LittleEndian.AppendUint32(nil, ipc.MaxFrame+1),
		"truncated submit":     frame(ipc.TypeSubmit, []byte{1, 2, 3}),
		"huge list":            frame(ipc.TypeRelease, []byte{0xff, 0xff, 0xff, 0xff}),
		"unknown class":        ipc.AppendSubmit(nil, &ipc.Submit{Task: task, Class: 99, Args: ipc.Args{Raw: ipc.AppendArgs(nil, nil, nil)}}),
		"put of another job":   ipc.AppendPut(nil, other.Object(0), &ipc.Value{Kind: ipc.ValueInline}, nil),
		"alloc of another job": ipc.AppendAlloc(nil, other.Object(0), 1<<20),
		"result of no worker":  ipc.AppendResult(nil, &ipc.Result{Task: task}),
		"second hello":         ipc.AppendHello(nil, &ipc.Hello{Role: ipc.RoleDriver}),
		"stored without room":  ipc.AppendPut(nil, task.Object(0), &ipc.Value{Kind: ipc.ValueStored, ID: task.Object(0), Size: 5}, nil),
		"class that is not":    frame(ipc.TypeClass, []byte{1, 0, 0, 0, 0xff, 0xff}),
	} {
		t.Run(name, func(t *testing.T) {
			bad, _ := join(t, r.Socket, ipc.RoleDriver)
			if err := bad.Send(func(out []byte) []byte { return append(out, b...) }); err != nil {
				t.Fatal(err)
			}
			if f := refusal(t, bad); f.Code != raygo.CodeRefused || f.Message == "" {
				t.Fatalf("refusal: %+v", f)
			}
		})
	}
	id := task.Object(0)
	v := ipc.Value{Kind: ipc.ValueInline, Bytes: []byte{1}}
	err := good.Send(func(b []byte) []byte {
		return ipc.AppendWant(ipc.AppendPut(b, id, &v, nil), ipc.WantValue, []raygo.ObjectID{id})
	})
	if err != nil {
		t.Fatal(err)
	}
	typ, p, err := good.Read()
	if err != nil || typ != ipc.TypeReady {
		t.Fatalf("the good driver: frame %d, %v", typ, err)
	}
	if got, err := ipc.ParseReady(p); err != nil || got.ID != id {
		t.Fatalf("%+v, %v", got, err)
	}
}

// behaviour 233
func TestHelloOfAnotherVersionIsRefused(t *testing.T) {
	r := startPeer(t, Config{})
	b := ipc.AppendHello(nil, &ipc.Hello{Role: ipc.RoleDriver})
	b[10], b[12] = 9, 9 // speaks 9 to 9
	conn := ipc.NewConn(dial(t, r.Socket), 0)
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.Send(func(out []byte) []byte { return append(out, b...) }); err != nil {
		t.Fatal(err)
	}
	if f := refusal(t, conn); !strings.Contains(f.Message, "9 to 9") {
		t.Fatalf("refusal: %s", f.Message)
	}
}

func TestNotARaygoProgramIsRefused(t *testing.T) {
	r := startPeer(t, Config{})
	conn := ipc.NewConn(dial(t, r.Socket), 0)
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.Send(func(out []byte) []byte { return append(out, "GET / HTTP/1.1\r\n\r\n"...) }); err != nil {
		t.Fatal(err)
	}
	if f := refusal(t, conn); f.Message == "" {
		t.Fatal("no message")
	}
}

func TestTwoPeersOneDirectory(t *testing.T) {
	dir := t.TempDir()
	a, err := New(Config{DataDir: dir, Socket: filepath.Join(dir, "a.sock"), HTTP: "off", CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	_, err = New(Config{DataDir: dir, Socket: filepath.Join(dir, "b.sock"), HTTP: "off", CPUs: 1})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "--data-dir") {
		t.Fatalf("second peer on the directory: %v", err)
	}
	_, err = New(Config{DataDir: t.TempDir(), Socket: filepath.Join(dir, "a.sock"), HTTP: "off", CPUs: 1})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "--socket") {
		t.Fatalf("second peer on the socket: %v", err)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "peer.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	n, err := New(Config{DataDir: filepath.Join(dir, "data"), Socket: path, HTTP: "off", CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	n.close()
}

func TestSocketOfAnotherIsLeft(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "peer.sock")
	open := func(data string) *Node {
		n, err := New(Config{DataDir: filepath.Join(dir, data), Socket: path, HTTP: "off", CPUs: 1})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := open("first")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := open("second")
	first.close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the socket of the second peer: %v", err)
	}
	second.close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its own socket, after it ended: %v", err)
	}
}

// Workers and other programs run elsewhere: what they are told is absolute.
func TestRelativePaths(t *testing.T) {
	t.Chdir(t.TempDir())
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	r := startPeer(t, Config{DataDir: "data", Socket: "s"})
	if r.Socket != filepath.Join(here, "s") {
		t.Errorf("the socket is said to be at %s", r.Socket)
	}
	n, err := New(Config{DataDir: "other", Socket: "o", HTTP: "off", CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer n.close()
	if n.dir.path != filepath.Join(here, "other") {
		t.Errorf("the data directory is %s", n.dir.path)
	}
}

func TestBadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"data dir is a file":       {DataDir: file},
		"socket is a file":         {Socket: file},
		"custom resource CPU":      {Resources: map[string]float64{"CPU": 1}},
		"negative resource":        {Resources: map[string]float64{"x": -1}},
		"resource below the step":  {Resources: map[string]float64{"x": 0.00001}},
		"spill dir missing":        {SpillDir: "/no/such/dir"}, // behaviour 160
		"negative store":           {ObjectStoreMemory: -1},
		"negative time":            {WorkerIdle: -1},
		"http beyond this machine": {HTTP: "0.0.0.0:0"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.CPUs = 1
			if cfg.HTTP == "" {
				cfg.HTTP = "off"
			}
			cfg.Private = cfg.DataDir == ""
			n, err := New(cfg)
			if err == nil {
				n.close()
			}
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("new: %v", err)
			}
		})
	}
}

// The identity outlives the process.
func TestKeyIsKept(t *testing.T) {
	dir := t.TempDir()
	var ids [2]string
	for i := range ids {
		n, err := New(Config{DataDir: dir, Socket: filepath.Join(dir, "s"), HTTP: "off", CPUs: 1})
		if err != nil {
			t.Fatal(err)
		}
		ids[i] = n.id
		n.close()
	}
	if ids[0] != ids[1] || !strings.HasPrefix(ids[0], "12D3") {
		t.Fatalf("IDs %v", ids)
	}
	st, err := os.Stat(filepath.Join(dir, "keys", "peer.key"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", st.Mode(), err)
	}
}
