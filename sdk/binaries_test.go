package raygo

import (
	"maps"
	"strings"
	"testing"
)

func TestBuildsNamedByTheEnvironmentAndByOptions(t *testing.T) {
	t.Setenv(BinariesEnv, "linux/arm64=/a:darwin/arm64=/b")
	c := &config{}
	if err := Binary("linux", "arm64", "/own")(c); err != nil {
		t.Fatal(err)
	}
	h, err := c.hello("driver")
	if err != nil || !maps.Equal(h.Binaries, map[string]string{"linux/arm64": "/own", "darwin/arm64": "/b"}) {
		t.Errorf("%v, %v", h, err)
	}
	if h, err := c.hello("worker"); err != nil || len(h.Binaries) != 1 {
		t.Errorf("a worker names %v, %v", h, err)
	}
	for _, bad := range []string{"linux=/a", "linux/arm64", "linux/arm64=a", "/x=/a"} {
		t.Setenv(BinariesEnv, bad)
		if _, err := c.hello("driver"); err == nil || !strings.Contains(err.Error(), BinariesEnv) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
