// certmanager runs cert-manager's own controllers, as many of them as Certificates from CA and SelfSigned issuers
// need, against the API server of a test bed. Not here: ACME and other issuers, the webhook, leader election.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/cert-manager/cert-manager/pkg/controller"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/approver"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/ca"
	"github.com/cert-manager/cert-manager/pkg/controller/certificaterequests/selfsigned"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/issuing"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/keymanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/readiness"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/requestmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/revisionmanager"
	"github.com/cert-manager/cert-manager/pkg/controller/certificates/trigger"
	"github.com/cert-manager/cert-manager/pkg/controller/clusterissuers"
	"github.com/cert-manager/cert-manager/pkg/controller/issuers"

	"golang.org/x/sync/errgroup"

	_ "github.com/cert-manager/cert-manager/pkg/issuer/ca" // the issuer kinds register themselves
	_ "github.com/cert-manager/cert-manager/pkg/issuer/selfsigned"
)

const workers = 2 // per controller; a test bed has a dozen Certificates

var version = "unknown" // set when it is built

var enabled = []string{
	issuers.ControllerName, clusterissuers.ControllerName,
	trigger.ControllerName, keymanager.ControllerName, requestmanager.ControllerName,
	issuing.ControllerName, readiness.ControllerName, revisionmanager.ControllerName,
	approver.ControllerName, ca.CRControllerName, selfsigned.CRControllerName,
}

func main() {
	kubeconfig := flag.String("kubeconfig", "", "how to reach the API server")
	namespace := flag.String("cluster-resource-namespace", "cert-manager", "where ClusterIssuers have their Secrets")
	show := flag.Bool("version", false, "print the version of cert-manager and end")
	flag.Parse()
	if *show {
		fmt.Println("cert-manager", version)
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, *kubeconfig, *namespace); err != nil {
		log.Fatal(err)
	}
}

// options are the defaults of a real installation where these controllers look at them.
func options(kubeconfig, namespace string) controller.ContextOptions {
	return controller.ContextOptions{
		Kubeconfig:         kubeconfig,
		KubernetesAPIQPS:   100, // only without priority and fairness on the server
		KubernetesAPIBurst: 200,
		IssuerOptions:      controller.IssuerOptions{ClusterResourceNamespace: namespace},
		CertificateOptions: controller.CertificateOptions{
			CopiedAnnotationPrefixes:                 []string{"*", "-kubectl.kubernetes.io/"},
			CertificateRequestMinimumBackoffDuration: time.Hour,
			CertificateRequestMaximumBackoffDuration: 32 * time.Hour,
		},
	}
}

func run(ctx context.Context, kubeconfig, namespace string) error {
	factory, err := controller.NewContextFactory(ctx, options(kubeconfig, namespace))
	if err != nil {
		return err
	}
	shared, err := factory.Build() // every component's context has the same informers
	if err != nil {
		return err
	}
	var loops []controller.Interface
	for name, construct := range controller.Known() {
		if !slices.Contains(enabled, name) {
			continue
		}
		loop, err := construct(factory)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		loops = append(loops, loop)
	}
	if len(loops) != len(enabled) {
		return fmt.Errorf("only %d of %d controllers are registered", len(loops), len(enabled))
	}
	// The informers of all controllers are known now; those that are asked for later would never start.
	shared.SharedInformerFactory.Start(ctx.Done())
	shared.KubeSharedInformerFactory.Start(ctx.Done())
	shared.SharedInformerFactory.WaitForCacheSync(ctx.Done())
	shared.KubeSharedInformerFactory.WaitForCacheSync(ctx.Done())
	fmt.Println("ready")

	running, ctx := errgroup.WithContext(ctx)
	for _, loop := range loops {
		running.Go(func() error { return loop.Run(workers, ctx) })
	}
	return running.Wait()
}
