from certctl_mcp.config.environment import CONFIG_VARIABLE, VARIABLES
from release.options import OPTIONS


def test_the_options_of_hosts_are_variables_of_the_server() -> None:
    offered = [option.variable for option in OPTIONS]
    assert set(offered) <= {*VARIABLES, CONFIG_VARIABLE}
    assert len(offered) == len(set(offered))


def test_every_built_in_channel_can_be_set_up_in_a_host() -> None:
    offered = {VARIABLES[option.variable][1] for option in OPTIONS if _is_channel(option.variable)}
    assert offered == {path[1] for path in VARIABLES.values() if path[0] == "channels"}


def test_the_credentials_of_channels_are_secret_options() -> None:
    secret = {option.variable for option in OPTIONS if option.secret}
    assert {option.variable for option in OPTIONS if option.variable.endswith(("_URL", "_KEY"))} <= secret
    assert {"CERTCTL_WEBHOOK_SECRET", "CERTCTL_SMTP_PASSWORD"} <= secret


def _is_channel(variable: str) -> bool:
    return variable in VARIABLES and VARIABLES[variable][0] == "channels"
