<?php
// Answers questions with Composer's own code: one JSON question per line of the file named first, one JSON answer per
// line into the file named second.
//
// CARGOMAN_TEST_COMPOSER_AUTOLOAD   Composer's autoload.php (default: Debian's package)
// CARGOMAN_TEST_COMPOSER_SOURCES    newer sources to prefer, as "Namespace=folder;Namespace=folder"
declare(strict_types=1);

use Composer\IO\NullIO;
use Composer\MetadataMinifier\MetadataMinifier;
use Composer\Package\CompleteAliasPackage;
use Composer\Package\Dumper\ArrayDumper;
use Composer\Package\Loader\ArrayLoader;
use Composer\Package\Loader\InvalidPackageException;
use Composer\Package\Loader\ValidatingArrayLoader;
use Composer\Package\Version\VersionParser;
use Composer\Repository\Vcs\VcsDriverInterface;
use Composer\Repository\VcsRepository;
use Composer\Semver\Constraint\Constraint;

spl_autoload_register(static function (string $class): void {
    foreach (array_filter(explode(';', (string) getenv('CARGOMAN_TEST_COMPOSER_SOURCES'))) as $root) {
        [$namespace, $folder] = explode('=', $root, 2);
        if (0 === strpos($class, $namespace.'\\')) {
            $file = $folder.'/'.strtr(substr($class, strlen($namespace) + 1), '\\', '/').'.php';
            if (is_file($file)) {
                require $file;

                return;
            }
        }
    }
});
$autoload = getenv('CARGOMAN_TEST_COMPOSER_AUTOLOAD') ?: '/usr/share/php/Composer/autoload.php';
if (!is_file($autoload)) {
    fwrite(STDERR, "no Composer library at $autoload: install Composer (`./dev test` does) or set CARGOMAN_TEST_COMPOSER_AUTOLOAD\n");
    exit(3);
}
require $autoload;

// As in Composer: warnings are exceptions, deprecations are not.
error_reporting(E_ALL);
set_error_handler(static function (int $level, string $message, string $file, int $line): bool {
    if ($level === E_DEPRECATED || $level === E_USER_DEPRECATED) {
        return true;
    }
    throw new ErrorException($message, 0, $level, $file, $line);
});

/** A repository with one tag or one branch. */
final class OneReference implements VcsDriverInterface
{
    public static array $tags = [];
    public static array $branches = [];

    public function __construct() {}
    public function initialize(): void {}
    public function getComposerInformation(string $identifier): ?array { return ['name' => 'acme/pay']; }
    public function getFileContent(string $file, string $identifier): ?string { return null; }
    public function getChangeDate(string $identifier): ?DateTimeImmutable { return null; }
    public function getRootIdentifier(): string { return 'no such branch'; }
    public function getBranches(): array { return self::$branches; }
    public function getTags(): array { return self::$tags; }
    public function getDist(string $identifier): ?array { return null; }
    public function getSource(string $identifier): array { return ['type' => 'git', 'url' => 'https://git.example/pay', 'reference' => $identifier]; }
    public function getUrl(): string { return 'https://git.example/pay'; }
    public function hasComposerFile(string $identifier): bool { return true; }
    public function cleanup(): void {}
    public static function supports(Composer\IO\IOInterface $io, Composer\Config $config, string $url, bool $deep = false): bool { return true; }
}

function attempt(callable $question)
{
    try {
        return $question();
    } catch (Throwable $error) {
        return null;
    }
}

function constraint(array $question): array
{
    $parser = new Composer\Semver\VersionParser();
    $constraint = attempt(static fn () => $parser->parseConstraints($question['constraint']));
    $matches = [];
    foreach ($question['versions'] as $normalized) {
        $matches[] = $constraint === null ? null : $constraint->matches(new Constraint('==', $normalized));
    }

    return ['valid' => $constraint !== null, 'matches' => $matches];
}

function version(array $question): array
{
    $parser = new Composer\Semver\VersionParser();
    $text = $question['text'];
    $normalized = attempt(static fn () => $parser->normalize($text));

    return [
        'normalized' => $normalized,
        'stability' => $normalized === null ? null : VersionParser::parseStability($normalized),
        'raw_stability' => VersionParser::parseStability($text),
        'branch' => $parser->normalizeBranch($text),
    ];
}

function reference(array $question): array
{
    OneReference::$tags = isset($question['tag']) ? [$question['tag'] => 'abc'] : [];
    OneReference::$branches = isset($question['branch']) ? [$question['branch'] => 'abc'] : [];
    static $io, $config, $http;
    $io = $io ?? new NullIO();
    $config = $config ?? new Composer\Config(false);
    $http = $http ?? new Composer\Util\HttpDownloader($io, $config);
    $packages = attempt(static function () use ($io, $config, $http) {
        $settings = ['url' => 'https://git.example/pay', 'type' => 'one'];
        $repository = new VcsRepository($settings, $io, $config, $http, null, null, ['one' => OneReference::class]);

        return $repository->getPackages();
    });

    return ['found' => array_map(static fn ($package) => [$package->getPrettyVersion(), $package->getVersion()], $packages ?? [])];
}

function alias(array $question): array
{
    $version = ['name' => 'acme/pay', 'version' => $question['version'], 'extra' => $question['extra']];
    $version['default-branch'] = $question['default-branch'];

    return ['alias' => (new ArrayLoader())->getBranchAlias($version)];
}

function minify(array $question): array
{
    $minified = MetadataMinifier::minify($question['versions']);

    return ['minified' => $minified, 'expanded' => MetadataMinifier::expand($question['minified'])];
}

/** What Composer makes of a composer.json, and what a client makes of the version object we publish for it. */
function manifest(array $question): array
{
    $answer = ['valid' => false, 'errors' => [], 'dump' => null, 'loads' => null, 'loaded' => null];
    $config = json_decode($question['json'], true);
    if (is_array($config)) {
        foreach ($question['ignored'] as $key) {
            unset($config[$key]);
        }
        $config['version'] = $question['version'];
        try {
            $package = (new ValidatingArrayLoader(new ArrayLoader()))->load($config);
            $answer['valid'] = true;
            $answer['dump'] = dump($package);
        } catch (InvalidPackageException $error) {
            $answer['errors'] = $error->getErrors();
        } catch (Throwable $error) {
            $answer['errors'] = ['thrown: '.$error->getMessage()];
        }
    } else {
        $answer['errors'] = ['not an array'];
    }
    if ($question['ours'] !== null) {
        try {
            $answer['loaded'] = dump((new ArrayLoader())->loadPackages([$question['ours']])[0]);
            $answer['loads'] = true;
        } catch (Throwable $error) {
            $answer['loads'] = false;
            $answer['errors'][] = 'client: '.$error->getMessage();
        }
    }

    return $answer;
}

function dump($package): array
{
    if ($package instanceof CompleteAliasPackage) {
        $package = $package->getAliasOf();
    }

    return (new ArrayDumper())->dump($package);
}

/** Where the installed library is older than the rules we follow. */
function features(): array
{
    $parser = new Composer\Semver\VersionParser();
    $nulls = MetadataMinifier::minify([['a' => null, 'b' => 1], ['a' => null, 'b' => 1]]);

    return [
        'two_short_date_groups' => attempt(static fn () => $parser->normalize('201001.1.1')) !== null,
        'keeps_nulls' => $nulls[1] === [],
        'drops_odd_licences' => attempt(static fn () => (new ValidatingArrayLoader(new ArrayLoader()))->load(['name' => 'a/b', 'version' => '1', 'license' => [1]])) !== null,
        'composer' => Composer\Composer::getVersion(),
        'hash_in_branches' => false !== strpos((string) file_get_contents((new ReflectionClass(VcsRepository::class))->getFileName()), "str_replace('#', '+'"),
        'v_in_default_branches' => (new ArrayLoader())->getBranchAlias(['version' => 'v1.x-dev', 'default-branch' => true]) === null,
    ];
}

$questions = fopen($argv[1], 'r');
$answers = fopen($argv[2], 'w');
$flags = JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_PRESERVE_ZERO_FRACTION | JSON_INVALID_UTF8_SUBSTITUTE | JSON_THROW_ON_ERROR;
while (false !== ($line = fgets($questions))) {
    $question = json_decode($line, true, 512, JSON_THROW_ON_ERROR);
    $answer = match ($question['ask']) {
        'constraint' => constraint($question),
        'version' => version($question),
        'compare' => ['order' => version_compare($question['a'], $question['b'])],
        'reference' => reference($question),
        'alias' => alias($question),
        'minify' => minify($question),
        'manifest' => manifest($question),
        'features' => features(),
    };
    fwrite($answers, json_encode($answer, $flags)."\n");
}
