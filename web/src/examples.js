// What people come here to find out or to do, one example each. The name of its first operation is
// the name of its tab.

const DAY = 24 * 60 * 60 * 1000;
const ahead = (milliseconds) => new Date(Date.now() + milliseconds).toISOString();

export const EXAMPLES = [
  {
    title: "Freshness board",
    about: "What is fresh and what is not, the worst first.",
    query: `query FreshnessBoard {
  freshnessSummary {
    fresh
    warn
    stale
    unknown
    notApplicable
  }
  datasets(order: WORST_FIRST, first: 20) {
    nodes {
      name
      freshness {
        status
        ageSeconds
        staleAt
      }
      refreshState {
        status
        lastSuccessAt
        consecutiveFailures
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
  },
  {
    title: "Why is it late?",
    about: "The one that is late for longest: the sentence, the policy, the run that decided.",
    query: `query WhyIsItLate {
  datasets(filter: { status: [STALE, WARN] }, order: WORST_FIRST, first: 1) {
    nodes {
      id
      name
      owners
      freshness {
        explanation
        status
        since
        warnAt
        staleAt
        policyReason
        policy {
          version
          mode
          maxAge {
            warnAfterSeconds
            failAfterSeconds
          }
          deadline {
            cron
          }
        }
        decidedBy {
          id
          endedAt
        }
      }
      refreshState {
        lastRunState
        lastFailureAt
        anomalies {
          sentence
        }
        expectedNextRun {
          at
          basis
        }
      }
      runs(first: 3) {
        nodes {
          state
          endedAt
          errorMessage
        }
      }
    }
  }
}
`,
  },
  {
    title: "Breaches",
    about: "What is beyond its limits now, since when, and who has taken note.",
    query: `query Breaches {
  breaches(state: OPEN, first: 20) {
    nodes {
      id
      level
      openedAt
      durationSeconds
      dataset {
        id
        name
      }
      acknowledgement {
        by
        at
        note
      }
      mute {
        until
        reason
      }
    }
  }
}
`,
  },
  {
    title: "Acknowledge and mute",
    about: "As tenant-admin. Run the first, put its ids into the variables, then run the others.",
    query: `query OpenBreach {
  breaches(state: OPEN, first: 1) {
    nodes {
      id
      dataset {
        id
        name
      }
    }
  }
}

mutation AcknowledgeBreach($breachId: ID!) {
  acknowledgeBreach(input: { breachId: $breachId, note: "I am looking into it." }) {
    status
    breach {
      acknowledgement {
        by
        at
      }
    }
  }
}

mutation MuteFreshness($datasetId: ID!, $until: DateTime!) {
  muteFreshness(input: { datasetId: $datasetId, until: $until, reason: "The source moves." }) {
    status
    dataset {
      freshnessMute {
        until
      }
    }
  }
}

mutation UnmuteFreshness($datasetId: ID!) {
  unmuteFreshness(input: { datasetId: $datasetId }) {
    status
  }
}
`,
    variables: () => ({ breachId: "", datasetId: "", until: ahead(DAY / 24) }),
  },
  {
    title: "History",
    about: "The last week: in time for how much of it, when not, and the runs day by day.",
    query: `query History($from: DateTime!, $to: DateTime!) {
  datasets(order: WORST_FIRST, first: 1) {
    nodes {
      name
      slaAttainment(from: $from, to: $to) {
        attained
        staleSeconds
        meanTimeToRecoverSeconds
      }
      freshnessHistory(from: $from, to: $to) {
        intervals {
          from
          to
          status
        }
      }
      runStatistics(from: $from, to: $to) {
        runs
        successRate
        durationP95Seconds
      }
      runBuckets(from: $from, to: $to, bucket: DAY, timezone: "UTC") {
        buckets {
          from
          succeeded
          failed
          rows
        }
      }
    }
  }
}
`,
    variables: () => ({ from: ahead(-7 * DAY), to: ahead(0) }),
  },
  {
    title: "Impact",
    about: "Where it comes from, what is made from it, and what upstream is to blame.",
    query: `query Impact {
  datasets(order: WORST_FIRST, first: 3) {
    nodes {
      name
      rootCauses {
        causes {
          sentence
          dataset {
            name
          }
        }
      }
      upstream(depth: 3, first: 20) {
        nodes {
          distance
          dataset {
            name
            freshness {
              status
            }
          }
          job {
            name
          }
        }
      }
      downstream(depth: 3, first: 20) {
        nodes {
          distance
          dataset {
            name
            owners
          }
        }
      }
    }
  }
}
`,
  },
  {
    title: "Policies",
    about: "What is asked of whom, and how to ask for something else (as tenant-admin).",
    query: `query Policies {
  freshnessPolicies(first: 20) {
    nodes {
      id
      selector {
        domain
        tags
      }
      maxAge {
        failAfterSeconds
      }
      deadline {
        cron
      }
    }
  }
  freshnessCalendars {
    name
    dates
  }
  datasets(first: 20) {
    nodes {
      id
      name
      freshness {
        policyReason
      }
      freshnessPolicy {
        version
        mode
        createdBy
      }
    }
  }
}

mutation SetFreshnessPolicy($datasetId: ID!) {
  setFreshnessPolicy(
    input: {
      datasetId: $datasetId
      maxAge: { warnAfterSeconds: 3600, failAfterSeconds: 7200 }
    }
  ) {
    status
    dataset {
      name
      freshness {
        status
        explanation
      }
    }
  }
}
`,
    variables: () => ({ datasetId: "" }),
  },
  {
    title: "Who am I?",
    about: "What the token says, and until when it is good.",
    query: `query WhoAmI {
  me {
    tenantId
    actorId
    role
    scopes
    expiresAt
  }
}
`,
  },
];

/** The variables of an example as the editor shows them. */
export function variablesOf(example) {
  return example.variables ? JSON.stringify(example.variables(), null, 2) : "";
}
