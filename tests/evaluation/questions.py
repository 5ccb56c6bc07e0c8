"""The twenty questions, in the order in which a night's triage would ask them."""

from tests.evaluation import action_questions, channel_questions, count_questions, single_alert_questions
from tests.evaluation.question import Question

QUESTIONS: tuple[Question, ...] = (
    count_questions.HowManyAreDead(),
    channel_questions.WhichDiedAndWhy(),
    count_questions.WhichChannelHasTheMostDead(),
    channel_questions.WhenWasTheOutage(),
    channel_questions.IsItOver(),
    channel_questions.HowReliable(),
    channel_questions.WhichIsSlow(),
    count_questions.HowManyNeverArrived(),
    count_questions.HowManyOfOneKind(),
    count_questions.WhichCertificateSuffersMost(),
    count_questions.IsAnythingStuck(),
    single_alert_questions.WasItDelivered(),
    single_alert_questions.OnWhichAttempt(),
    single_alert_questions.WhenIsItTriedAgain(),
    single_alert_questions.WhoseAddressIsWrong(),
    single_alert_questions.WhatDoesItSay(),
    single_alert_questions.DidAllOfThemArrive(),
    action_questions.DoesTheChannelWork(),
    action_questions.RequeueThoseForOneChannel(),
    action_questions.SettleWhatIsObsolete(),
)
