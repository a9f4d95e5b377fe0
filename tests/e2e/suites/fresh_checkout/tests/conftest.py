from __future__ import annotations

import pytest
from sklearn.naive_bayes import BernoulliNB

from spam import Mails, load_mails


@pytest.fixture
def mails(mlrun) -> Mails:
    return load_mails(mlrun.data["mails"])


@pytest.fixture
def trained(mlrun, mails) -> BernoulliNB:
    mlrun.log_split(train=mails[:800].ids, val=mails[800:].ids)
    model = BernoulliNB(alpha=mlrun.params["alpha"]).fit(mails[:800].X, mails[:800].y)
    mlrun.log_model(model)
    return model
