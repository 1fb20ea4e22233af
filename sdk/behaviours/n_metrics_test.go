package behaviours

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/raygo/raygo/internal/peertest"
	"github.com/raygo/raygo/node"
	raygo "github.com/raygo/raygo/sdk"
)

// behaviour 227
func TestMetricsOfAJobGoWithIt(t *testing.T) {
	p := peertest.Start(t, node.Config{HTTP: "127.0.0.1:0"})
	scrape := func() string {
		resp, err := http.Get("http://" + p.Ready.HTTP + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", resp.Status, err)
		}
		return string(text)
	}
	job := ""
	t.Run("job", func(t *testing.T) {
		ctx := p.DriverFor(t)
		info, err := raygo.Get(ctx, whoami.Remote(ctx))
		if err != nil {
			t.Fatal(err)
		}
		job = info.JobID
		if !strings.Contains(scrape(), `raygo_job_tasks_total{job="`+job+`",state="FINISHED"} 1`) {
			t.Errorf("no series of job %s:\n%s", job, scrape())
		}
	})
	eventually(t, "the job's series go away", func() bool { return !strings.Contains(scrape(), job) })
	if !strings.Contains(scrape(), "raygo_workers") && !strings.Contains(scrape(), "raygo_resource") {
		t.Error("the peer's own series went, too")
	}
}
