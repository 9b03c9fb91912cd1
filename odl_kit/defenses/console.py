"""`odl update`: keys and sign at the publisher's; provision, verify, apply and erase at the device's, which here is a folder."""
import argparse
import sys
from pathlib import Path

from odl_kit.defenses import install, keys, updates

HELP = """A signed model package from the publisher to a device. In this order:

  odl update keys KEYS                                                      a new pair of keys: signing.pem, trusted.pem
  odl update provision DEVICE --trusted KEYS/trusted.pem --model digits --device-class nrf52840
  odl update sign w.safetensors p.odlu --key KEYS/signing.pem --model digits --device-class nrf52840 --version 1
  odl update verify p.odlu DEVICE                                           would the device take it? changes nothing
  odl update apply p.odlu DEVICE                                            the device takes it, or stays as it was
  odl update erase DEVICE                                                   drop the device's key

Exit status: 0 done, 1 refused or not possible (the reason is one line), 2 a wrong command line."""


def main(argv=None):
    """Run one of the commands; returns its exit status."""
    args = _parser().parse_args(argv)
    try:
        print(args.run(args))
    except (OSError, ValueError) as error:       # Refused is a ValueError
        print(f"odl update {args.command}: {'REFUSED: ' if isinstance(error, updates.Refused) else ''}{error}", file=sys.stderr)
        return 1
    return 0


def _parser():
    parser = argparse.ArgumentParser(prog="odl update", description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(run, *paths):
        one = commands.add_parser(run.__name__.strip("_"), help=run.__doc__, description=run.__doc__)
        one.set_defaults(run=run)
        for name, text in paths:
            one.add_argument(name, type=Path, metavar=name.upper(), help=text)
        return one

    package, device = ("package", "a file that `odl update sign` wrote"), ("device", "the device's folder")
    command(_keys, ("folder", "where to write them; there must be none yet"))
    one = command(_provision, device)
    one.add_argument("--trusted", required=True, type=Path, metavar="PEM", help="the trusted.pem of the only signer it listens to")
    _names(one)
    one = command(_sign, ("weights", "a safetensors file"), ("package", "the file to write; there must be none yet"))
    one.add_argument("--key", required=True, type=Path, metavar="PEM", help="signing.pem")
    _names(one)
    one.add_argument("--version", required=True, type=int, help=f"1 to {updates.LARGEST_VERSION}, above all that were signed before")
    command(_verify, package, device)
    command(_apply, package, device)
    command(_erase, device)
    return parser


def _names(parser):
    parser.add_argument("--model", required=True, help="name of the model (architecture) that the weights belong to")
    parser.add_argument("--device-class", required=True, help="name of the boards that may take it, such as nrf52840")


def _keys(args):
    """Draw a new pair of keys: signing.pem stays with the publisher, trusted.pem goes to the devices."""
    signing, trusted = keys.make(args.folder)
    return f"written: {signing} (whoever has it is the signer: keep it away from devices and repositories)\nwritten: {trusted}"


def _provision(args):
    """Make a device: a folder that knows its model, its class and whom to trust, with a key of its own and no model yet."""
    install.provision(args.device, keys.read_trusted(args.trusted), model=args.model, device_class=args.device_class)
    return f"provisioned: {args.device}, {args.model} on {args.device_class}, counter 0"


def _sign(args):
    """Pack and sign a safetensors file for one class of devices."""
    key = keys.read_signing(args.key)
    try:
        tensors = updates.unpack(args.weights.read_bytes())
    except updates.Refused:
        raise ValueError(f"{args.weights} is no safetensors file: write one with safetensors.torch.save_file(net.state_dict(), ...); a "
                         "file of torch.save is a pickle, which may run code as it is read, and is not opened here") from None
    package = updates.sign(tensors, key, model=args.model, device_class=args.device_class, version=args.version)
    keys.write_new(args.package, package)
    return f"signed: {args.package}, {len(package):,} B, {args.model} version {args.version} for {args.device_class}"


def _verify(args):
    """Would the device take this package? Looks at everything and changes nothing."""
    me = install.identity(args.device)
    manifest, body = updates.verify(args.package.read_bytes(), me.trusted, model=me.model, device_class=me.device_class, newest=me.newest)
    updates.unpack(body)
    return f"good: {manifest}; the device's counter is {me.newest}"


def _apply(args):
    """The device takes this package, or refuses it and stays as it was."""
    return f"applied: {install.apply(args.device, args.package.read_bytes())}"


def _erase(args):
    """Drop the device's key: its model can never be read again."""
    install.identity(args.device)      # so that a mistyped folder is an error
    install.erase(args.device)
    left = ", ".join(f"{what} {value}" for what, value in install.thief_reads(args.device).items())
    return f"erased: the key of {args.device}. Still readable there: {left}"
