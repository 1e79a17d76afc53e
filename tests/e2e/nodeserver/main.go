// Command nodeserver stands in for the kubelets of all fake nodes of the test bed. It answers exec and logs for
// every pod with true exit codes, lets a pod run when its volumes can be mounted, tells the DRBD simulator which satellites
// run with which tlshd files, makes controller pods reachable at their pod address, and serves claims while the pod of the CSI
// controller runs.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

type config struct {
	listen, certFile, keyFile, clientCAFile string
	kubeconfig                              string
	drbdSimSocket, shimDir, linstorBackend  string
	agentBinary, agentDir, controlSocket    string
	agentArguments                          []string
	execLog                                 string
}

func main() {
	log.SetFlags(log.Ltime | log.Lmicroseconds)
	var c config
	flag.StringVar(&c.listen, "listen", "127.0.0.1:10250", "address of the kubelet port (kwok --node-port)")
	flag.StringVar(&c.certFile, "tls-cert-file", "", "server certificate")
	flag.StringVar(&c.keyFile, "tls-private-key-file", "", "its key")
	flag.StringVar(&c.clientCAFile, "client-ca-file", "", "CA of the API server's client certificate")
	flag.StringVar(&c.kubeconfig, "kubeconfig", "", "how to reach the API server")
	flag.StringVar(&c.drbdSimSocket, "drbd-sim", "", "UNIX socket of the DRBD simulator; empty: none")
	flag.StringVar(&c.shimDir, "shim-dir", "", "folder that is first in PATH of every exec")
	flag.StringVar(&c.linstorBackend, "linstor-backend", "", "host:port behind <controller pod>:3370; empty: none")
	flag.StringVar(&c.agentBinary, "agent-binary", "", "what runs in containers named breakwater-agent; empty: nothing")
	flag.StringVar(&c.agentDir, "agent-dir", "", "where pods have their emptyDirs")
	flag.Func("agent-arg", "an option of breakwater-agent that only a test bed has (may be repeated)", func(value string) error {
		c.agentArguments = append(c.agentArguments, value)
		return nil
	})
	flag.StringVar(&c.execLog, "exec-log", "", "folder for what every exec was told and said; empty: none")
	flag.StringVar(&c.controlSocket, "control", "", "UNIX socket on which tests ask for faults; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, c); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, c config) error {
	restConfig, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return err
	}
	restConfig.QPS = -1 // no client-side throttling
	client, err := kubernetes.NewForConfig(restConfig)
	if err != nil {
		return err
	}
	cluster := newCluster(client)
	processes := newProcesses()
	defer processes.killAll()
	agents := newAgents(c, cluster, processes)
	cluster.agents = agents
	delay, streams := &latency{}, newStreams()
	if c.controlSocket != "" {
		if err := (&control{agents: agents, latency: delay, streams: streams}).serve(c.controlSocket); err != nil {
			return err
		}
	}
	sim := newSimClient(c.drbdSimSocket)
	open := newOpenVolumes(cluster, sim)
	reconciler := &reconciler{
		cluster:   cluster,
		sim:       sim,
		proxy:     newPodProxy(c.linstorBackend),
		processes: processes,
		starter:   newStarter(cluster, open),
		agents:    agents,
		linstor:   newLinstorBackend(c.linstorBackend),
		csi:       newCSINodes(cluster, c.linstorBackend),
		driver:    &csiDriver{cluster: cluster, config: restConfig, backend: c.linstorBackend, open: open},
		open:      open,
		sent:      map[string]nodeState{},
	}

	tlsConfig, err := serverTLS(c)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	if err := cluster.start(ctx); err != nil {
		return err
	}
	go sim.connectLoop(ctx, cluster.poke)
	go reconciler.loop(ctx)

	server := &http.Server{
		Handler: (&handler{config: c, cluster: cluster, sim: sim, processes: processes, agents: agents, latency: delay,
			streams: streams, execs: &execLog{folder: c.execLog}}).routes(),
		TLSConfig: tlsConfig,
		// Hijacking, which exec needs, exists in HTTP/1.1 only.
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	fmt.Println("ready")
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func serverTLS(c config) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, err
	}
	result := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if c.clientCAFile != "" {
		pem, err := os.ReadFile(c.clientCAFile)
		if err != nil {
			return nil, err
		}
		result.ClientCAs = x509.NewCertPool()
		if !result.ClientCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("no certificate in %s", c.clientCAFile)
		}
		// Exec runs commands as us: only the API server may ask for it.
		result.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return result, nil
}
