"""The twenty questions, in the order in which a night's triage would ask them."""

from tests.evaluation import acting, channels, counting, single
from tests.evaluation.question import Question

QUESTIONS: tuple[Question, ...] = (
    counting.HowManyAreDead(),
    channels.WhichDiedAndWhy(),
    counting.WhichChannelHasTheMostDead(),
    channels.WhenWasTheOutage(),
    channels.IsItOver(),
    channels.HowReliable(),
    channels.WhichIsSlow(),
    counting.HowManyNeverArrived(),
    counting.HowManyOfOneKind(),
    counting.WhichCertificateSuffersMost(),
    counting.IsAnythingStuck(),
    single.WasItDelivered(),
    single.OnWhichAttempt(),
    single.WhenIsItTriedAgain(),
    single.WhoseAddressIsWrong(),
    single.WhatDoesItSay(),
    single.DidAllOfThemArrive(),
    acting.DoesTheChannelWork(),
    acting.RequeueThoseForOneChannel(),
    acting.SettleWhatIsObsolete(),
)
