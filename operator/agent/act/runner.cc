#include "operator/agent/act/runner.h"
