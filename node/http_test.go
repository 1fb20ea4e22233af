package node

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// The endpoint is for this machine only.
func TestHTTPOnLoopbackOnly(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "192.0.2.1:80", "example.org:80", "nonsense", "[::]:0"} {
		n := &Node{cfg: Config{HTTP: addr}, metrics: &metrics{}}
		if err := n.listenHTTP(); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: %v", addr, err)
		}
	}
	n := &Node{cfg: Config{HTTP: "off"}, metrics: &metrics{}}
	if err := n.listenHTTP(); err != nil || n.http != "" {
		t.Errorf("off: %q, %v", n.http, err)
	}
}

func TestHTTPAnswers(t *testing.T) {
	n, err := New(Config{Private: true, CPUs: 1})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- n.Run(t.Context(), func(Ready) {}) }()
	t.Cleanup(func() {
		if err := <-served; err != nil {
			t.Errorf("the peer ended with %v", err)
		}
	})
	for path, says := range map[string]string{"/metrics": "raygo_object_store_bytes{kind=\"limit\"}", "/healthz": "ok\n"} {
		r, err := http.Get("http://" + n.http + path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(body), says) {
			t.Errorf("%s: %s, %v: %s", path, r.Status, err, body)
		}
	}
}
